//! `$(VAR)` where it is easily read otherwise than Kubernetes reads it.

use crate::expansion::expand;

fn known(name: &str) -> Option<&'static str> {
    match name {
        "HOST" => Some("db"),
        "PORT" => Some("5432"),
        "LINK" => Some("$(HOST)"),
        "NONE" => Some(""),
        _ => None,
    }
}

#[test]
fn what_looks_like_a_reference() {
    for (text, expected) in [
        // A name ends at the first bracket, so that nothing is within a name.
        ("$(HOST$(PORT))", "$(HOST$(PORT))"),
        ("$(HOST$(PORT)", "$(HOST$(PORT)"),
        ("$(HO$$ST)", "$(HO$$ST)"),
        ("$( HOST )", "$( HOST )"),
        // Brackets without an end, one after the other.
        ("$($($(", "$($($("),
        ("a-$($($(PORT)", "a-$($($(PORT)"),
        ("$(HOST)$(", "db$("),
        ("$HOST)", "$HOST)"),
        ("(HOST)", "(HOST)"),
        // Pairs of dollars from the left.
        ("$$$$$$(HOST)", "$$$(HOST)"),
        ("$$$$$$$(HOST)", "$$$db"),
        ("$$$$$$$(OTHER)", "$$$$(OTHER)"),
        ("price-$$HOST", "price-$HOST"),
        ("$(HOST)$", "db$"),
        // Other escapes are none.
        ("\\$(HOST)", "\\db"),
        ("\\\\\\$(HOST)", "\\\\\\db"),
        ("$HOST ${HOST} $? $!", "$HOST ${HOST} $? $!"),
        ("$(NONE)|$(NONE)", "|"),
        ("$(LINK)-$(LINK)", "$(HOST)-$(HOST)"),
        ("$\u{a3}$(HOST)$\u{4e2d}", "$\u{a3}db$\u{4e2d}"),
        ("\n$(HOST)\n", "\ndb\n"),
    ] {
        assert_eq!(expand(text, known), expected, "{text}");
    }
}
