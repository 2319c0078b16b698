use super::{
    BodyForm, DiscoveryForm, Form, MetaVersion, body_form, discovery_form, form, takes_gzip, takes_json,
};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const TABLE_BETA: &str = "application/json;as=Table;v=v1beta1;g=meta.k8s.io";
const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const V2_BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

#[test]
fn answers_in_the_first_form_that_it_has() {
    let partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let rows = [
        ("", Some(Form::Json)),
        ("application/json, */*", Some(Form::Json)),
        ("application/vnd.kubernetes.protobuf,application/json", Some(Form::Json)),
        (&format!("{TABLE},{TABLE_BETA},application/json"), Some(Form::Table(MetaVersion::V1))),
        (&format!("{TABLE_BETA}, application/json"), Some(Form::Table(MetaVersion::V1Beta1))),
        ("application/json;as=Table;g=meta.k8s.io;v=v7,application/json", Some(Form::Json)),
        (&format!("application/json;q=0.5, {TABLE};q=0.9"), Some(Form::Table(MetaVersion::V1))),
        (&format!("{TABLE};q=0, application/json"), Some(Form::Json)),
        (partial, Some(Form::Partial(MetaVersion::V1))),
        ("application/yaml", None),
        ("application/vnd.kubernetes.protobuf", None),
        ("text/html", None),
        ("*/*", Some(Form::Json)),
    ];
    for (accept, expected) in rows {
        assert_eq!(form(Some(accept)), expected, "{accept}");
    }
    assert_eq!(form(None), Some(Form::Json));
}

#[test]
fn honours_the_order_of_discovery_forms() {
    let rows = [
        (format!("{V2},{V2_BETA1},application/json"), Some(DiscoveryForm::V2)),
        (format!("{V2_BETA1},application/json"), Some(DiscoveryForm::V2Beta1)),
        ("application/json, */*".to_owned(), Some(DiscoveryForm::Legacy)),
        (format!("{TABLE},application/json"), Some(DiscoveryForm::Legacy)),
        ("application/yaml".to_owned(), None),
    ];
    for (accept, expected) in rows {
        assert_eq!(discovery_form(Some(&accept)), expected, "{accept}");
    }
}

#[test]
fn reads_other_headers() {
    assert_eq!(body_form(None), Some(BodyForm::Json));
    assert_eq!(body_form(Some("application/json; charset=utf-8")), Some(BodyForm::Json));
    assert_eq!(body_form(Some("application/apply-patch+yaml")), Some(BodyForm::ApplyYaml));
    assert_eq!(body_form(Some("text/plain")), None);
    assert!(takes_gzip(Some("gzip")) && takes_gzip(Some("deflate, gzip;q=0.5")));
    assert!(!takes_gzip(None) && !takes_gzip(Some("gzip;q=0")) && !takes_gzip(Some("br")));
    assert!(takes_json(None) && takes_json(Some("application/json")) && !takes_json(Some("text/html")));
}
