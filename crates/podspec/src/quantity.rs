//! Resource quantities (`100m`, `64Mi`).
