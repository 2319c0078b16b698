//! What holds of patches and applies for any objects. The objects are drawn, always the same ones.

mod draw;
mod strategic;
mod two_way;

mod apply;
