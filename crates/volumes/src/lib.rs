//! Pod volumes: emptyDir, hostPath.
