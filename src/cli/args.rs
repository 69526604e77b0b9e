//! The arguments, with the names of NanoMQ. Their doc comments are the help.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::config::{FileForm, Overrides, Secret};

const PRECEDENCE: &str = "\
Where settings come from, the later overriding the earlier:
  1. the built-in defaults
  2. the configuration file
  3. environment variables that begin with NANOMQ_, such as NANOMQ_MSQ_LEN
  4. the command line

The configuration file is --conf or --old_conf, else the one that $NANOMQ_CONF_PATH names, else nanomq.conf beside
the executable if there is one, else none.";

const EXIT_CODES: &str = "\
Exit codes:
  0  done; for a broker in the foreground: stopped by SIGTERM or SIGINT
  1  not done, for the reason on the standard error stream
  2  the command line is not understood";

const CONTROL_EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  not done, for the reason on the standard error stream; also when no broker runs
  2  the command line is not understood";

const SIGNALS: &str = "\
Signals to a running broker:
  SIGTERM, SIGINT  tell the clients and stop; a second one ends the process at once
  SIGHUP           read the configuration anew

The log goes to the standard error stream. $NANOMQ_LOG, such as info,nanomq::session=debug, replaces log.level until
the next reload.";

/// A broker for MQTT 3.1, 3.1.1 and 5.0.
#[derive(Debug, Parser)]
#[command(
    name = "nanomq",
    version,
    arg_required_else_help = true,
    after_help = "`nanomq help COMMAND` explains a command.",
    after_long_help = format!("{PRECEDENCE}\n\n{EXIT_CODES}\n\n\
        Examples:\n  nanomq start --conf /etc/nanomq.conf\n  nanomq check --conf /etc/nanomq.conf")
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start a broker
    #[command(
        long_about = "Start a broker, in the foreground or with -d in the background.\n\n\
            It is ready when its log says so, and with -d when the command returns.\n\
            Only one broker runs on a pid file.",
        after_long_help = format!("{PRECEDENCE}\n\n{SIGNALS}\n\n{EXIT_CODES}\n\n\
            Examples:\n  nanomq start\n  nanomq start --url nmq-tcp://127.0.0.1:1884 --log_level debug\n  \
            nanomq start -d --conf /etc/nanomq.conf 2>>/var/log/nanomq.log")
    )]
    Start(StartArgs),
    /// Stop the running broker and wait until it has ended
    #[command(
        long_about = "Stop the broker of a pid file and wait until its process has ended, at most 15 seconds.",
        after_long_help = format!("{CONTROL_EXIT_CODES}\n\n\
            Examples:\n  nanomq stop\n  nanomq stop --conf /etc/nanomq.conf")
    )]
    Stop(ControlArgs),
    /// Stop the running broker, if there is one, and start one
    #[command(
        long_about = "Stop the broker of the pid file, if there is one, and start a broker with the given arguments.\n\n\
            The running broker goes on if the configuration has errors.",
        after_long_help = format!("{PRECEDENCE}\n\n{EXIT_CODES}\n\n\
            Example:\n  nanomq restart -d --conf /etc/nanomq.conf")
    )]
    Restart(StartArgs),
    /// Tell the running broker to read its configuration anew
    #[command(
        long_about = "Tell the broker of a pid file to read its configuration anew, as SIGHUP does.\n\n\
            It reads the file that it was started with and its own environment and command line again, applies what\n\
            can change while it runs, and tells what waits for a restart. A file with errors, or one that cannot be read\n\
            now, changes nothing: then the exit code is 1 and the reason is told.\n\
            --conf only tells where the pid file is; it is checked before the broker is told.",
        after_long_help = format!("{CONTROL_EXIT_CODES}\n\n\
            Example:\n  nanomq reload --conf /etc/nanomq.conf")
    )]
    Reload(ControlArgs),
    /// Check a configuration file without starting anything
    #[command(
        long_about = "Check a configuration file by itself: the environment and the command line do not count, and an unknown\n\
            key is an error.\n\n\
            Every problem goes to the standard error stream with its file, line, column and key. The configuration\n\
            that the file makes, with all defaults and without passwords, goes to the standard output stream.\n\
            Without an option it is the file that `nanomq start` would read.",
        after_long_help = "Exit codes:\n  0  the file can be used\n  1  it has errors\n  2  the command line is not understood\n\n\
            Examples:\n  nanomq check --conf /etc/nanomq.conf\n  nanomq check --conf nanomq.conf > effective.conf"
    )]
    Check(FileArgs),
    /// Look at a durable store while no broker uses it
    #[command(
        subcommand,
        long_about = "Look at a durable store while no broker uses it. Nothing in it is changed.",
        after_long_help = "Exit codes:\n  0  the store is as it was written\n  1  it is not, or cannot be read, for the reason on the standard error stream\n  2  the command line is not understood\n\n\
            Examples:\n  nanomq store check --conf /etc/nanomq.conf\n  nanomq store stats --path /var/lib/nanomq/nanomq_store"
    )]
    Store(StoreCommand),
    /// Write a user's password into a file of users
    #[command(
        long_about = "Write a user's password into a file of users, which auth.password_file names. The password is read from the\n\
            standard input stream, one line, and only its hash is written: argon2id or, with --scram, a SCRAM-SHA-256 verifier,\n\
            with which the user can log in by password and by MQTT 5's enhanced authentication.\n\n\
            The file is made if there is none; other lines stay as they are. A running broker takes it over on a reload.",
        after_long_help = "Exit codes:\n  0  done\n  1  not done, for the reason on the standard error stream\n  2  the command line is not understood\n\n\
            Examples:\n  nanomq passwd /etc/nanomq_passwd ann\n  nanomq passwd --delete /etc/nanomq_passwd ann"
    )]
    Passwd(PasswdArgs),
    /// The same commands as NanoMQ 0.8 spells them: nanomq broker start
    #[command(subcommand)]
    Broker(BrokerCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum BrokerCommand {
    /// As `nanomq start`
    Start(StartArgs),
    /// As `nanomq stop`
    Stop(ControlArgs),
    /// As `nanomq restart`
    Restart(StartArgs),
    /// As `nanomq reload`
    Reload(ControlArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Read every record and report what cannot be read
    Check(StoreArgs),
    /// Say how much there is
    Stats(StoreArgs),
}

/// Which store.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    /// The store's folder, instead of the one of the configuration
    #[arg(long, value_name = "FOLDER", conflicts_with = "FileArgs")]
    pub(super) path: Option<PathBuf>,
}

/// Which configuration file.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct FileArgs {
    /// Configuration file; whether it is HOCON or key = value lines is seen from its text
    #[arg(long, value_name = "FILE")]
    conf: Option<PathBuf>,
    /// Configuration file of key = value lines, as NanoMQ before 0.14 has it
    #[arg(long = "old_conf", value_name = "FILE")]
    old_conf: Option<PathBuf>,
}

impl FileArgs {
    /// The file, if one is given.
    pub(super) fn path(&self) -> Option<&Path> {
        self.conf.as_deref().or(self.old_conf.as_deref())
    }

    /// Its form, where the arguments say it.
    pub(super) fn form(&self) -> Option<FileForm> {
        self.old_conf.as_ref().map(|_| FileForm::Flat)
    }
}

#[derive(Debug, Args)]
pub(super) struct StartArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    /// Address to listen on, such as nmq-tcp://0.0.0.0:1883, nmq-tls://0.0.0.0:8883, nmq-ws://0.0.0.0:8083/mqtt or
    /// nmq-wss://0.0.0.0:8084/mqtt; repeat it for several. They replace those of the file
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// Serve the HTTP API
    #[arg(long)]
    http: bool,
    /// Port of the HTTP API
    #[arg(short, long, value_name = "N")]
    port: Option<u16>,
    /// Least severe messages to log: off, error, warn, info, debug or trace
    #[arg(long = "log_level", value_name = "LEVEL")]
    log_level: Option<String>,
    /// Run in the background. The log is kept if the standard error stream is a file, else it is lost
    #[arg(short, long)]
    daemon: bool,
    /// Worker threads, 0 to 255 (0 = the number of cores)
    #[arg(short = 't', long = "tq_thread", value_name = "N")]
    tq_thread: Option<u64>,
    /// Most worker threads, 0 to 255 (0 = no bound)
    #[arg(short = 'T', long = "max_tq_thread", value_name = "N")]
    max_tq_thread: Option<u64>,
    /// Most messages that wait for one session
    #[arg(short = 'S', long = "msq_len", value_name = "N")]
    msq_len: Option<u64>,
    /// Accepted for NanoMQ's sake; has no effect and says so
    #[arg(short = 'n', long, value_name = "N")]
    parallel: Option<u64>,
    /// Accepted for NanoMQ's sake; has no effect and says so
    #[arg(short = 's', long = "property_size", value_name = "N")]
    property_size: Option<u64>,
    /// Accepted for NanoMQ's sake; has no effect and says so
    #[arg(short = 'D', long = "qos_duration", value_name = "SECONDS")]
    qos_duration: Option<u64>,
    /// Certificate of the TLS listeners, a PEM file
    #[arg(short = 'E', long, value_name = "FILE")]
    cert: Option<String>,
    /// Users, a flat file of NanoMQ such as nanomq_auth_username.conf
    #[arg(long, value_name = "FILE")]
    auth: Option<PathBuf>,
    /// Requests to an HTTP server about clients, a flat file of NanoMQ such as nanomq_auth_http.conf
    #[arg(long = "auth_http", value_name = "FILE")]
    auth_http: Option<PathBuf>,
    /// Private key of the certificate, a PEM file
    #[arg(long, value_name = "FILE")]
    key: Option<String>,
    /// Password of the private key. Others on the machine can read it: the key key_password of a file is better
    #[arg(long, value_name = "PASSWORD")]
    keypass: Option<String>,
    /// Authorities of client certificates, a PEM file
    #[arg(long, value_name = "FILE")]
    cacert: Option<String>,
    /// Ask clients for a certificate
    #[arg(long)]
    verify: bool,
    /// With --verify, refuse clients without a certificate
    #[arg(long)]
    fail: bool,
}

impl StartArgs {
    /// What the arguments set in the configuration.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            url: self.url.clone(),
            http: self.http,
            port: self.port,
            log_level: self.log_level.clone(),
            daemon: self.daemon,
            num_taskq_thread: self.tq_thread,
            max_taskq_thread: self.max_tq_thread,
            parallel: self.parallel,
            property_size: self.property_size,
            msq_len: self.msq_len,
            qos_duration: self.qos_duration,
            auth: self.auth.clone(),
            auth_http: self.auth_http.clone(),
            certfile: self.cert.clone(),
            keyfile: self.key.clone(),
            key_password: self.keypass.as_deref().map(Secret::new),
            cacertfile: self.cacert.clone(),
            verify_peer: self.verify,
            fail_if_no_peer_cert: self.fail,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct ControlArgs {
    #[command(flatten)]
    pub(super) file: FileArgs,
    /// The pid file of the broker, instead of the one of the configuration
    #[arg(long = "pid_file", value_name = "FILE", conflicts_with = "FileArgs")]
    pub(super) pid_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct PasswdArgs {
    /// Write a SCRAM-SHA-256 verifier
    #[arg(long, conflicts_with = "delete")]
    pub(super) scram: bool,
    /// Remove the user
    #[arg(short = 'D', long)]
    pub(super) delete: bool,
    /// The file of users
    pub(super) file: PathBuf,
    /// The user's name
    pub(super) user: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_become_overrides() {
        let cli = Cli::try_parse_from([
            "nanomq",
            "broker",
            "start",
            "--url",
            "nmq-tcp://127.0.0.1:1",
            "--url",
            ":2",
            "--http",
            "-p",
            "0",
            "--log_level",
            "debug",
            "-d",
            "-t",
            "1",
            "-T",
            "2",
            "-n",
            "3",
            "-s",
            "4",
            "-S",
            "5",
            "-D",
            "6",
            "-E",
            "c",
            "--key",
            "k",
            "--auth",
            "u.conf",
            "--auth_http",
            "h.conf",
            "--keypass",
            "p",
            "--cacert",
            "a",
            "--verify",
            "--fail",
            "--old_conf",
            "old.conf",
        ])
        .unwrap();
        let Command::Broker(BrokerCommand::Start(args)) = cli.command else {
            panic!("not start");
        };
        let expected = Overrides {
            url: vec!["nmq-tcp://127.0.0.1:1".to_owned(), ":2".to_owned()],
            http: true,
            port: Some(0),
            log_level: Some("debug".to_owned()),
            daemon: true,
            num_taskq_thread: Some(1),
            max_taskq_thread: Some(2),
            parallel: Some(3),
            property_size: Some(4),
            msq_len: Some(5),
            qos_duration: Some(6),
            auth: Some("u.conf".into()),
            auth_http: Some("h.conf".into()),
            certfile: Some("c".to_owned()),
            keyfile: Some("k".to_owned()),
            key_password: Some(Secret::new("p")),
            cacertfile: Some("a".to_owned()),
            verify_peer: true,
            fail_if_no_peer_cert: true,
        };
        assert_eq!(args.overrides(), expected);
        assert_eq!(args.file.path(), Some(Path::new("old.conf")));
        assert_eq!(args.file.form(), Some(FileForm::Flat));
    }

    #[test]
    fn what_would_do_nothing_is_refused() {
        let cases: [&[&str]; 4] = [
            &["start", "--log_file", "nanomq.log"],
            &["start", "--conf", "a", "--old_conf", "b"],
            &["stop", "--conf", "a", "--pid_file", "b"],
            &["broker", "check"],
        ];
        for case in cases {
            let words = std::iter::once("nanomq").chain(case.iter().copied());
            assert!(Cli::try_parse_from(words).is_err(), "{case:?}");
        }
    }
}
