//! CRI log lines: encoding, decoding, selection, rotation decisions.
