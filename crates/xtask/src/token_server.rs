//! A small token server for registries, as the distribution specification describes it. A test fixture: a known user
//! gets whatever it asks for, everyone else may pull what is named `public/…`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use clap::Args;
use serde_json::{Value, json};

use crate::problem::{Explain, Problem, Result};
use crate::program::Program;

/// The longest body of a request.
const LONGEST_BODY: u64 = 64 * 1024;

/// Whom the server serves, and what it signs with.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Address to listen on, such as `127.0.0.1:5004`
    #[arg(long)]
    address: String,
    /// Key that tokens are signed with
    #[arg(long)]
    key: PathBuf,
    /// Certificate of that key, which the registry trusts
    #[arg(long)]
    certificate: PathBuf,
    /// Name that the registry expects in tokens
    #[arg(long)]
    issuer: String,
    /// The one user
    #[arg(long)]
    user: String,
    /// The user's password
    #[arg(long)]
    password: String,
    /// Seconds for which a token is good
    #[arg(long, default_value_t = 300)]
    lifetime: u64,
}

/// Serves until the process is ended.
pub(crate) fn serve(options: Options) -> Result<()> {
    let address = options.address.clone();
    let message = || format!("cannot listen on {address}");
    let listener = TcpListener::bind(&options.address).explain(message)?;
    let server = Arc::new(Server::new(options)?);
    for stream in listener.incoming() {
        let stream = stream.explain(message)?;
        let server = Arc::clone(&server);
        // A client that goes away or sends nonsense is its own problem.
        thread::spawn(move || drop(server.answer(stream)));
    }
    Ok(())
}

#[derive(Debug)]
struct Server {
    options: Options,
    /// The certificate as tokens carry it.
    certificate: String,
    refresh_tokens: Mutex<BTreeSet<String>>,
}

type Parameters = BTreeMap<String, Vec<String>>;

impl Server {
    fn new(options: Options) -> Result<Self> {
        let certificate = certificate_body(&options.certificate)?;
        Ok(Self { options, certificate, refresh_tokens: Mutex::default() })
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut authorization = None;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            match name.to_ascii_lowercase().as_str() {
                "authorization" => authorization = Some(value.trim().to_owned()),
                "content-length" => length = value.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
        let mut body = String::new();
        reader.take(length.min(LONGEST_BODY)).read_to_string(&mut body)?;
        let (status, answer) = self.respond(&first, authorization.as_deref(), &body);
        let answer = answer.to_string();
        let challenge = if status.starts_with("401") {
            "WWW-Authenticate: Basic realm=\"token\"\r\n"
        } else {
            ""
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{challenge}\
             Content-Length: {}\r\nConnection: close\r\n\r\n{answer}",
            answer.len()
        )
    }

    fn respond(
        &self,
        first: &str,
        authorization: Option<&str>,
        body: &str,
    ) -> (&'static str, Value) {
        let refused = || ("401 Unauthorized", json!({ "details": "wrong user or password" }));
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let (parameters, user) = match method {
            "GET" => {
                let user = match authorization.map(|value| self.is_user(value)) {
                    Some(false) => return refused(),
                    Some(true) => true,
                    None => false,
                };
                (parse_query(target.split_once('?').map_or("", |(_, query)| query)), user)
            }
            "POST" => {
                let parameters = parse_query(body);
                if !self.is_granted(&parameters) {
                    return refused();
                }
                (parameters, true)
            }
            _ => return ("405 Method Not Allowed", json!({})),
        };
        match self.grant(&parameters, user) {
            Ok(answer) => ("200 OK", answer),
            Err(problem) => {
                ("500 Internal Server Error", json!({ "details": problem.to_string() }))
            }
        }
    }

    fn is_user(&self, authorization: &str) -> bool {
        let expected = format!("{}:{}", self.options.user, self.options.password);
        authorization
            .strip_prefix("Basic ")
            .and_then(|value| BASE64_STANDARD.decode(value).ok())
            .is_some_and(|value| value == expected.as_bytes())
    }

    fn is_granted(&self, parameters: &Parameters) -> bool {
        match first(parameters, "grant_type") {
            "password" => {
                first(parameters, "username") == self.options.user
                    && first(parameters, "password") == self.options.password
            }
            "refresh_token" => self
                .refresh_tokens
                .lock()
                .is_ok_and(|known| known.contains(first(parameters, "refresh_token"))),
            _ => false,
        }
    }

    fn grant(&self, parameters: &Parameters, user: bool) -> Result<Value> {
        let scopes = parameters.get("scope").map(|scopes| scopes.join(" ")).unwrap_or_default();
        let access: Vec<Value> =
            scopes.split_whitespace().filter_map(|scope| granted(scope, user)).collect();
        let token = self.sign(first(parameters, "service"), user, &access)?;
        let mut answer = json!({
            "token": token, "access_token": token, "expires_in": self.options.lifetime,
        });
        let offline = first(parameters, "offline_token") == "true"
            || first(parameters, "access_type") == "offline";
        if user && offline {
            let refresh = unique()?;
            answer["refresh_token"] = json!(refresh);
            if let Ok(mut known) = self.refresh_tokens.lock() {
                known.insert(refresh);
            }
        }
        Ok(answer)
    }

    fn sign(&self, service: &str, user: bool, access: &[Value]) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let head = json!({ "typ": "JWT", "alg": "RS256", "x5c": [self.certificate] });
        let claims = json!({
            "iss": self.options.issuer,
            "sub": if user { self.options.user.as_str() } else { "" },
            "aud": service,
            // A clock that is a little behind is no reason to refuse.
            "nbf": now - 10,
            "iat": now,
            "exp": now + self.options.lifetime,
            "jti": unique()?,
            "access": access,
        });
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&head), encode(&claims));
        let signature = Program::new("openssl")
            .args(["dgst", "-sha256", "-sign"])
            .arg(&self.options.key)
            .output_from(signed.as_bytes())?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Returns what of `scope`, such as `repository:a/b:pull,push`, is granted, or `None` if nothing is.
fn granted(scope: &str, user: bool) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let public = name.starts_with("public/");
    let actions: Vec<&str> =
        actions.split(',').filter(|action| user || (public && *action == "pull")).collect();
    (!actions.is_empty()).then(|| json!({ "type": kind, "name": name, "actions": actions }))
}

fn first<'a>(parameters: &'a Parameters, name: &str) -> &'a str {
    parameters.get(name).and_then(|values| values.first()).map_or("", String::as_str)
}

fn parse_query(query: &str) -> Parameters {
    let mut parameters = Parameters::new();
    for pair in query.trim().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.entry(decode(name)).or_default().push(decode(value));
    }
    parameters
}

/// Decodes `%41` and `+` as forms write them.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|pair| str::from_utf8(pair).ok());
        let code = code.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        rest = match (byte, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                &tail[2..]
            }
            (b'+', _) => {
                bytes.push(b' ');
                tail
            }
            _ => {
                bytes.push(*byte);
                tail
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn certificate_body(path: &Path) -> Result<String> {
    let message = || format!("cannot read the certificate `{}`", path.display());
    let text = fs::read_to_string(path).explain(message)?;
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    if body.is_empty() { Err(Problem::new(message()).cause("it is empty")) } else { Ok(body) }
}

fn unique() -> Result<String> {
    let path = "/proc/sys/kernel/random/uuid";
    let text = fs::read_to_string(path).explain(|| format!("cannot read `{path}`"))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
    use serde_json::Value;

    use super::{Options, Server, decode, granted};
    use crate::environment::certificates::Certificates;

    fn server(folder: &std::path::Path) -> Server {
        let certificates = Certificates::make(folder).unwrap();
        Server::new(Options {
            address: String::new(),
            key: certificates.signer_key(),
            certificate: certificates.signer(),
            issuer: "issuer".to_owned(),
            user: "alice".to_owned(),
            password: "a+b c".to_owned(),
            lifetime: 60,
        })
        .unwrap()
    }

    fn access(answer: &Value) -> Value {
        let token = answer["token"].as_str().unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()["access"].clone()
    }

    #[test]
    fn tokens_carry_what_each_way_of_asking_is_granted() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path());
        let get = "GET /token?service=s&scope=repository%3Ax%3Apull%2Cpush HTTP/1.1";

        let (status, answer) = server.respond(get, None, "");
        assert_eq!((status, access(&answer)), ("200 OK", serde_json::json!([])));

        let basic = format!("Basic {}", BASE64_STANDARD.encode("alice:a+b c"));
        let (_, answer) = server.respond(get, Some(&basic), "");
        assert_eq!(access(&answer)[0]["actions"], serde_json::json!(["pull", "push"]));

        let wrong = format!("Basic {}", BASE64_STANDARD.encode("alice:x"));
        assert_eq!(server.respond(get, Some(&wrong), "").0, "401 Unauthorized");

        let form = "grant_type=password&username=alice&password=a%2Bb+c&access_type=offline";
        let (status, answer) = server.respond("POST /token HTTP/1.1", None, form);
        assert_eq!(status, "200 OK");
        let refresh = answer["refresh_token"].as_str().unwrap();
        let form = format!("grant_type=refresh_token&refresh_token={refresh}");
        assert_eq!(server.respond("POST /token HTTP/1.1", None, &form).0, "200 OK");
        let form = "grant_type=refresh_token&refresh_token=made-up";
        assert_eq!(server.respond("POST /token HTTP/1.1", None, form).0, "401 Unauthorized");
    }

    #[test]
    fn a_stranger_pulls_public_repositories_only() {
        assert_eq!(granted("repository:a/b:pull", false), None);
        let public = granted("repository:public/b:pull,push", false).unwrap();
        assert_eq!(public["actions"], serde_json::json!(["pull"]));
    }

    #[test]
    fn forms_decode() {
        assert_eq!(decode("a%2Bb+c%zz%4"), "a+b c%zz%4");
    }
}
