//! Bodies that are no JSON, not complete, or too large.

use crate::kit::{ADMIN, Answer, At, with_broker};

const POSTS: [&str; 6] = [
    "/mqtt/publish",
    "/mqtt/subscribe",
    "/mqtt/unsubscribe",
    "/mqtt/publish_batch",
    "/mqtt/subscribe_batch",
    "/mqtt/unsubscribe_batch",
];

#[test]
fn what_is_no_json_is_refused_with_the_place() {
    with_broker(
        |_| {},
        |at| {
            let deep = "[".repeat(1000);
            for (body, why) in [
                ("", "EOF while parsing a value at line 1 column 0"),
                ("{\n  \"topic\" \"a\"}", "line 2 column 11"),
                ("{\"topic\":\"a\"", "EOF"),
                ("{} x", "trailing characters at line 1 column 4"),
                ("nonsense", "line 1 column 2"),
                ("null", "instead of null"),
                ("\"text\"", "instead of a string"),
                ("1", "instead of a number"),
                (deep.as_str(), "recursion limit exceeded"),
            ] {
                for target in POSTS {
                    let answer = at.post(target, body);
                    let what = format!("{target} {body:.20}: {answer:?}");
                    assert_eq!(answer.status, 400, "{what}");
                    assert_eq!(answer.header("content-type"), Some("application/json"));
                    let json = answer.json();
                    assert_eq!(json["code"], 109, "{what}");
                    assert!(json["message"].as_str().unwrap().contains(why), "{what}");
                }
            }
            for (target, body) in [("/mqtt/publish", "[]"), ("/mqtt/publish_batch", "{}")] {
                assert_eq!(at.post(target, body).json()["code"], 109, "{target}");
            }
        },
    );
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    with_broker(
        |config| config.http_server.max_body = 2048,
        |at| {
            let body =
                |payload: usize| format!(r#"{{"topic":"t","payload":"{}"}}"#, "x".repeat(payload));
            let frame = body(0).len();
            let fits = at.post("/mqtt/publish", &body(2048 - frame));
            assert_eq!(
                (fits.status, fits.body.as_str()),
                (200, r#"{"code":0}"#),
                "{fits:?}"
            );
            for payload in [2049 - frame, 1 << 20] {
                let answer = at.post("/mqtt/publish", &body(payload));
                assert_eq!(answer.status, 413);
                assert_eq!(answer.header("content-type"), Some("application/json"));
                assert_eq!(
                    answer.body,
                    r#"{"code":108,"message":"the body is larger than http_server.max_body"}"#
                );
            }
        },
    );
}

#[test]
fn a_body_may_come_in_chunks_and_as_any_type() {
    with_broker(
        |_| {},
        |at| {
            let chunks = "10\r\n{\"topic\":\"t\",\"pa\r\nd\r\nyload\":\"abc\"}\r\n0\r\n\r\n";
            let head = "Content-Type: text/plain\r\nTransfer-Encoding: chunked";
            assert_eq!(raw(at, head, chunks, false).status, 200);
        },
    );
}

#[test]
fn a_body_that_is_cut_is_refused() {
    with_broker(
        |_| {},
        |at| {
            for (head, body) in [
                ("Content-Length: 100", r#"{"topic":"t","payload":"abc"}"#),
                (
                    "Transfer-Encoding: chunked",
                    "10\r\n{\"topic\":\"t\",\"pa\r\nd\r\ny",
                ),
            ] {
                let answer = raw(at, head, body, true);
                assert_eq!(
                    (answer.status, answer.body.as_str()),
                    (
                        400,
                        r#"{"code":109,"message":"the body: it ends too early"}"#
                    ),
                    "{head}"
                );
            }
        },
    );
}

fn raw(at: At, head: &str, body: &str, cut: bool) -> Answer {
    let request = format!(
        "POST /api/v4/mqtt/publish HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\nConnection: close\r\n{head}\r\n\r\n{body}"
    );
    match cut {
        true => at.exchange_and_end(request.as_bytes()),
        false => at.exchange(request.as_bytes()),
    }
}

#[test]
fn strangers_may_not_post() {
    with_broker(
        |_| {},
        |at| {
            for target in POSTS {
                let answer = at.request("POST", target, None);
                assert_eq!((answer.status, &answer.json()["code"]), (401, &104.into()));
                let answer = at.get(target);
                assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
            }
        },
    );
}
