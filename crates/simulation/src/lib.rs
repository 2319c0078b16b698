//! A pod on virtual time: the same `observe -> plan -> issue` loop as the kubelet's, in a world that does as it is told.
