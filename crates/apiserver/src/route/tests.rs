use http::Method;

use super::{Query, QueryError, Resource, RouteError, Target};

/// `group version namespace plural name subresource rest`, `-` where there is nothing.
fn resource(row: &str) -> Resource {
    let mut fields = row.split(' ').map(|field| if field == "-" { String::new() } else { field.to_owned() });
    let mut next = || fields.next().unwrap_or_default();
    let (group, version, namespace) = (next(), next(), next());
    Resource { group, version, namespace, plural: next(), name: next(), subresource: next(), rest: next() }
}

#[test]
fn names_what_a_path_is_about() {
    let rows = [
        ("/api/v1/pods", "- v1 - pods - - -"),
        ("/api/v1/namespaces", "- v1 - namespaces - - -"),
        ("/api/v1/namespaces/a", "- v1 a namespaces a - -"),
        ("/api/v1/namespaces/a/", "- v1 a namespaces a - -"),
        ("/api/v1/namespaces/a/status", "- v1 a namespaces a status -"),
        ("/api/v1/namespaces/a/finalize", "- v1 a namespaces a finalize -"),
        ("/api/v1/namespaces/a/pods", "- v1 a pods - - -"),
        ("/api/v1/namespaces/a/pods/p", "- v1 a pods p - -"),
        ("/api/v1/namespaces/a/pods/p%2Eq", "- v1 a pods p.q - -"),
        ("/api/v1/namespaces/a/pods/p/log", "- v1 a pods p log -"),
        ("/api/v1/namespaces/a/pods/https:p:8443/proxy/x/y/z/", "- v1 a pods https:p:8443 proxy x/y/z/"),
        ("/api/v1/namespaces/a/pods/p/proxy/", "- v1 a pods p proxy -"),
        ("/api/v1/namespaces/a/pods/p/proxy//x", "- v1 a pods p proxy /x"),
        ("/api/v1/nodes/n/proxy/stats/summary", "- v1 - nodes n proxy stats/summary"),
        ("/api/v1/nodes/n:10250/proxy/pods", "- v1 - nodes n:10250 proxy pods"),
        (
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n",
            "coordination.k8s.io v1 kube-node-lease leases n - -",
        ),
        ("/apis/node.k8s.io/v1/runtimeclasses/r", "node.k8s.io v1 - runtimeclasses r - -"),
    ];
    for (path, expected) in rows {
        assert_eq!(Target::of(path), Ok(Target::Resource(resource(expected))), "{path}");
    }
}

#[test]
fn leaves_other_paths_as_they_are() {
    let rows = [
        ("/", "/"),
        ("/version/", "/version"),
        ("/api", "/api"),
        ("/api/v1", "/api/v1"),
        ("/apis/apps", "/apis/apps"),
        ("/apis/apps/v1/", "/apis/apps/v1"),
        ("/openapi/v3/api/v1", "/openapi/v3/api/v1"),
        ("/api/v1/namespaces/a/pods/p/log/more", "/api/v1/namespaces/a/pods/p/log/more"),
    ];
    for (path, expected) in rows {
        assert_eq!(Target::of(path), Ok(Target::Path(expected.to_owned())), "{path}");
    }
}

#[test]
fn refuses_paths_that_name_nothing() {
    let rows = [
        ("/api/v1/namespaces/a/pods/%", RouteError::Encoding),
        ("/api/v1/namespaces/a/pods/%zz", RouteError::Encoding),
        ("/api/v1/namespaces/a/pods/%ff", RouteError::Encoding),
        ("/api/v1/namespaces//pods", RouteError::Segment),
        ("/api/v1/namespaces/a/pods/..", RouteError::Segment),
        ("/api/v1/namespaces/a/pods/%2e%2e", RouteError::Segment),
    ];
    for (path, expected) in rows {
        assert_eq!(Target::of(path), Err(expected), "{path}");
    }
}

#[test]
fn says_verbs_as_rbac_does() {
    let (all, one) = (resource("- v1 a pods"), resource("- v1 a pods p"));
    assert_eq!(all.verb(&Method::GET, false), "list");
    assert_eq!(all.verb(&Method::GET, true), "watch");
    assert_eq!(one.verb(&Method::GET, true), "get");
    assert_eq!(all.verb(&Method::DELETE, false), "deletecollection");
    assert_eq!(one.verb(&Method::DELETE, false), "delete");
    assert_eq!(one.verb(&Method::PATCH, false), "patch");
    assert_eq!(one.verb(&Method::TRACE, false), "");
}

#[test]
fn reads_queries() {
    let query =
        Query::parse("limit=500&watch&command=sh&command=-c&command=a+b%26c&dryRun=").expect("a query");
    assert_eq!(query.number("limit"), Ok(Some(500)));
    assert!(query.flag("watch") && !query.flag("follow"));
    assert_eq!(query.all("command").collect::<Vec<_>>(), ["sh", "-c", "a b&c"]);
    assert_eq!(query.text("dryRun"), None);
    assert!(query.has("dryRun"));
    assert_eq!(Query::parse("a=%f"), Err(QueryError::Encoding));
    assert!(Query::parse("limit=-1").expect("a query").number("limit").is_err());
    assert!(Query::parse(&"a&".repeat(5000)).is_err());
}
