//! Listeners and their names.

use super::*;

#[test]
fn named_listeners_and_the_one_without_a_name_live_together() {
    let text = "listeners.tcp { bind = \"127.0.0.1:1\", backlog = 5 }\nlisteners.tcp.b { bind = \"[::1]:2\", enable = no }";
    let loaded = load_text(text).unwrap();
    assert_eq!(loaded.warnings, []);
    let tcp = &loaded.config.listeners.tcp;
    assert_eq!(tcp.len(), 2);
    assert_eq!(
        (
            tcp["default"].bind.to_string().as_str(),
            tcp["default"].backlog
        ),
        ("127.0.0.1:1", 5)
    );
    assert_eq!(
        (tcp["b"].bind.to_string().as_str(), tcp["b"].enable),
        ("[::1]:2", false)
    );

    let only_named = load_text("listeners.tcp.b { bind = \"[::1]:2\" }").unwrap();
    assert_eq!(
        only_named.config.listeners.tcp.keys().collect::<Vec<_>>(),
        ["b"]
    );
    let none = load_text("mqtt.max_qos = 1").unwrap();
    assert_eq!(none.config.listeners, Listeners::default());
}

#[test]
fn listeners_of_all_kinds_have_names() {
    let text = "listeners.ssl { bind = \"0.0.0.0:1\", certfile = c, keyfile = k }\n\
                listeners.ssl.b { bind = \"nmq-tls://0.0.0.0:2\", certfile = d, keyfile = l }\n\
                listeners.ws.c { bind = \"nmq-ws://0.0.0.0:3/x\" }\nlisteners.wss { bind = \"0.0.0.0:4/y\" }\n\
                listeners.wss.b { bind = \"0.0.0.0:5\" }\n\
                listeners.wss.e { bind = \"0.0.0.0:6\", certfile = e, keyfile = e }\n";
    let loaded = load_text(text).unwrap();
    assert_eq!(loaded.warnings, []);
    let rows: Vec<_> = loaded
        .config
        .listeners
        .all()
        .map(|any| {
            let certfile = any.tls.map(|tls| tls.certfile.display().to_string());
            let path = any.websocket.map(|websocket| websocket.path.as_str());
            (
                any.key("bind"),
                certfile.unwrap_or_default(),
                path.unwrap_or_default(),
            )
        })
        .collect();
    let expected = [
        ("ssl.b", "d", ""),
        ("ssl.default", "c", ""),
        ("ws.c", "", "/x"),
        ("wss.b", "d", "/mqtt"),
        ("wss.default", "c", "/y"),
        ("wss.e", "e", "/mqtt"),
    ];
    let expected = expected.map(|(name, certfile, path)| {
        (format!("listeners.{name}.bind"), certfile.to_owned(), path)
    });
    assert_eq!(rows, expected);
}
