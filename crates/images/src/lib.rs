//! Images: the built-in localhost/host, pull policies.
