//! The DNS server of the pods: names of Services and pods from a snapshot, all others from the resolvers of the machine.
