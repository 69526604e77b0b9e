//! A great number of requests.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use crate::{
    harness::{Broker, DEADLINE},
    http::get,
};

/// admin:public
const ADMIN: &str = "Basic YWRtaW46cHVibGlj";

/// Requests of each round; the first warms up.
const ROUND: usize = 5_000;
const ROUNDS: usize = 3;
/// Resident memory may grow by this between the first round and the last: what one request leaves behind would be less
/// than 200 bytes of it.
const GROWTH: u64 = 4 << 20;

/// Requests of every kind, on one connection after the other, and what they are answered with.
fn round(port: u16) {
    let targets = [
        ("GET", "/clients", ADMIN, 200),
        ("GET", "/stats", ADMIN, 200),
        ("GET", "/nobody", ADMIN, 404),
        ("GET", "/topic-tree", ADMIN, 200),
        ("GET", "/clients?wrong=1", ADMIN, 400),
        ("GET", "/prometheus", ADMIN, 200),
        ("DELETE", "/clients/nobody", ADMIN, 404),
        ("GET", "/configuration", ADMIN, 200),
        ("PATCH", "/nodes", ADMIN, 405),
        ("GET", "/nodes", "Basic bm9ib2R5Ong=", 401),
    ];
    let mut left = ROUND;
    while left > 0 {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        let mut socket = socket;
        for _ in 0..50 {
            let (mut requests, mut expected) = (String::new(), Vec::new());
            for (method, target, user, status) in targets {
                requests += &format!(
                    "{method} /api/v4{target} HTTP/1.1\r\nHost: x\r\nAuthorization: {user}\r\n\r\n"
                );
                expected.push(status);
            }
            socket.write_all(requests.as_bytes()).unwrap();
            for status in expected {
                assert_eq!(answer(&mut reader), status);
            }
            left = left.saturating_sub(targets.len());
        }
    }
}

/// Reads an answer and returns its status.
fn answer(reader: &mut BufReader<TcpStream>) -> u16 {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    reader.take(length).read_to_end(&mut Vec::new()).unwrap();
    status
}

#[test]
fn leave_open_files_and_memory_where_they_were() {
    let broker = Broker::start("http_server.max_failed_logins = 0\nmqtt.sys_interval = 0s");
    let Some(port) = broker.http_port() else {
        return;
    };
    let process = || {
        let answer = get(port, "/api/v4/stats", Some(("admin", "public")));
        let process = &answer.body["data"]["process"];
        let number = |name: &str| process[name].as_u64().unwrap();
        (number("open_files"), number("memory_bytes"))
    };
    round(port);
    let (files, memory) = process();
    (1..ROUNDS).for_each(|_| round(port));
    let (files_after, memory_after) = process();
    // The last connection of a round may be closed a little later.
    assert!(files_after <= files + 2, "{files} became {files_after}");
    assert!(
        memory_after <= memory + GROWTH,
        "{memory} became {memory_after}"
    );
}
