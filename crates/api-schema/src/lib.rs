//! The Kubernetes API as data: fields, wire numbers, merge rules; checks, protobuf, OpenAPI.
