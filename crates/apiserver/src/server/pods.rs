//! Where pods reach the API.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;

use super::StartError;

/// Where most clusters have it.
const PORT: u16 = 6_443;
/// Ports that are tried when that one is somebody's: one that is free in one family need not be so in the other.
const PORTS_MAX: usize = 16;

/// Listens on each of `addresses`, on one port. Where `listened` is every address of a family, those of that family are
/// listened on already.
pub(super) async fn listen(
    addresses: &[IpAddr],
    listened: Option<SocketAddr>,
    streams: &mut Vec<TcpListener>,
) -> Result<Vec<SocketAddr>, StartError> {
    let Some(&first) = addresses.first() else { return Ok(Vec::new()) };
    let is_every = |address: &IpAddr| {
        let same = |every: &SocketAddr| every.is_ipv6() || address.is_ipv4();
        listened.filter(|listened| listened.ip().is_unspecified()).is_some_and(|every| same(&every))
    };
    let (held, wanted): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|address| is_every(address));
    let usual = listened.map_or(PORT, |listened| listened.port());
    for tried in 0.. {
        let failed = |source| StartError::Pods { address: first, source };
        let port = if tried == 0 { usual } else { free_port(first).await.map_err(failed)? };
        match listen_on(&wanted, port).await {
            Ok(listeners) => {
                streams.extend(listeners);
                return Ok(addresses.iter().map(|address| SocketAddr::new(*address, port)).collect());
            }
            // Those that are listened on have their port.
            Err(error) if tried == PORTS_MAX || !held.is_empty() => return Err(error),
            Err(_) => {}
        }
    }
    Ok(Vec::new())
}

async fn free_port(address: IpAddr) -> io::Result<u16> {
    Ok(TcpListener::bind((address, 0)).await?.local_addr()?.port())
}

async fn listen_on(addresses: &[IpAddr], port: u16) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::new();
    for &address in addresses {
        let listener = TcpListener::bind((address, port)).await;
        listeners.push(listener.map_err(|source| StartError::Pods { address, source })?);
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

    use tokio::net::TcpListener;

    use super::listen;

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn pods_have_the_port_that_others_have() {
        let every = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let every = every.local_addr().unwrap();
        let mut streams = Vec::new();
        let found = listen(&[V4], Some(every), &mut streams).await.unwrap();
        assert_eq!((found, streams.len()), (vec![SocketAddr::new(V4, every.port())], 0));
    }

    #[tokio::test]
    async fn another_port_is_found_when_that_one_is_in_use() {
        let other = TcpListener::bind((V4, 0)).await.unwrap();
        let other = other.local_addr().unwrap();
        let mut streams = Vec::new();
        let found = listen(&[V4], Some(other), &mut streams).await.unwrap();
        assert_eq!(streams.len(), 1);
        assert_eq!(found, [streams[0].local_addr().unwrap()]);
        assert_ne!(found[0].port(), other.port());
        let none = listen(&[], Some(other), &mut streams).await.unwrap();
        assert_eq!((none, streams.len()), (vec![], 1));
        let absent = IpAddr::V6(Ipv6Addr::from([0xfd, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9]));
        let error = listen(&[absent], None, &mut streams).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot listen on fd"), "{error}");
    }
}
