//! Who may read: basic authentication, and bearer tokens of an own token service at `/token`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::http::{Request, form};
use crate::serve::Answer;

/// What a registry asks of those who read.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    #[default]
    Nobody,
    Basic {
        username: String,
        password: String,
    },
    Bearer(Bearer),
}

/// A token service.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// Names and passwords it gives tokens for.
    pub users: Vec<(String, String)>,
    /// Whether it gives one to everybody.
    pub anonymous: bool,
    /// What it takes as `refresh_token`.
    pub identity_tokens: Vec<String>,
    /// How many requests one token is good for.
    pub uses: Option<u32>,
    /// `expires_in` of its answers.
    pub expires_in_s: Option<u64>,
    /// Instead of its own `/token`.
    pub realm: Option<String>,
}

impl Default for Bearer {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            anonymous: true,
            identity_tokens: Vec::new(),
            uses: None,
            expires_in_s: Some(300),
            realm: None,
        }
    }
}

impl Bearer {
    /// Tokens for this user alone.
    #[must_use]
    pub fn of(username: &str, password: &str) -> Self {
        Self { users: vec![(username.to_owned(), password.to_owned())], anonymous: false, ..Self::default() }
    }
}

/// Tokens that were given out.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    count: u32,
    /// The scope and the requests left.
    valid: BTreeMap<String, (String, Option<u32>)>,
}

impl Tokens {
    pub(crate) fn expire(&mut self) {
        self.valid.clear();
    }

    fn give(&mut self, scope: String, uses: Option<u32>) -> String {
        self.count += 1;
        let token = format!("token-{}", self.count);
        self.valid.insert(token.clone(), (scope, uses));
        token
    }

    fn take(&mut self, token: &str, scope: &str) -> bool {
        let Some((own, uses)) = self.valid.get_mut(token) else { return false };
        let fits = own.split(' ').any(|own| own == scope);
        match uses {
            Some(0) => false,
            Some(uses) => {
                *uses -= 1;
                fits
            }
            None => fits,
        }
    }
}

/// The refusal, unless the request may go on.
pub(crate) fn refusal(
    auth: &Auth,
    tokens: &mut Tokens,
    origin: &str,
    repository: &str,
    request: &Request,
) -> Option<Answer> {
    let authorization = request.header("authorization").unwrap_or_default();
    let (allowed, challenge) = match auth {
        Auth::Nobody => return None,
        Auth::Basic { username, password } => (
            user(authorization) == Some((username.clone(), password.clone())),
            "Basic realm=\"double\"".to_owned(),
        ),
        Auth::Bearer(bearer) => {
            let scope = format!("repository:{repository}:pull");
            let realm = bearer.realm.clone().unwrap_or_else(|| format!("{origin}/token"));
            let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
            let challenge = format!("Bearer realm=\"{realm}\",service=\"double\",scope=\"{scope}\"");
            (tokens.take(token, &scope), challenge)
        }
    };
    if allowed {
        return None;
    }
    let mut answer = Answer::error(401, "UNAUTHORIZED", "authentication required");
    answer.headers.push(("www-authenticate".to_owned(), challenge));
    Some(answer)
}

/// What `/token` answers.
pub(crate) fn token(auth: &Auth, tokens: &mut Tokens, request: &Request) -> Answer {
    let Auth::Bearer(bearer) = auth else {
        return Answer::error(404, "NOT_FOUND", "there are no tokens here");
    };
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let (allowed, scope) = if request.method == "POST" {
        let token = form(&body, "refresh_token").unwrap_or_default();
        let granted = form(&body, "grant_type").as_deref() == Some("refresh_token")
            && bearer.identity_tokens.contains(&token);
        (granted, form(&body, "scope"))
    } else {
        let granted = match request.header("authorization") {
            None => bearer.anonymous,
            Some(authorization) => user(authorization).is_some_and(|user| bearer.users.contains(&user)),
        };
        (granted, form(&request.query, "scope"))
    };
    if !allowed {
        return Answer::error(401, "UNAUTHORIZED", "incorrect username or password");
    }
    let token = tokens.give(scope.unwrap_or_default(), bearer.uses);
    let mut body = json!({ "access_token": token, "token": token });
    if let Some(expires_in) = bearer.expires_in_s {
        body["expires_in"] = json!(expires_in);
    }
    Answer::json(200, &body)
}

fn user(authorization: &str) -> Option<(String, String)> {
    let bytes = BASE64_STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
    let (username, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}
