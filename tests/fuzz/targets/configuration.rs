//! Configurations in both forms with the rules of permissions in them: what is accepted means the same when it is
//! written and read again, and rules decide without a panic.
#![no_main]

use std::{collections::HashSet, path::Path, sync::Arc};

use libfuzzer_sys::fuzz_target;
use nanomq::{
    auth::acl::{Action, Rules, Subject},
    config::{Config, FileForm, Overrides, Strictness, render_effective},
};

fn load(text: &str, form: FileForm) -> Option<Config> {
    let (path, overrides) = (Path::new("fuzz.conf"), Overrides::default());
    let loaded = Config::load_text(path, text, Some(form), Strictness::Start, [], &overrides);
    match loaded {
        Ok(loaded) => Some(loaded.config),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in problems {
                assert!(!problem.to_string().is_empty());
            }
            None
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((form, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    // Files that are read in are those of this machine, and not part of the input.
    if text.contains("include") || text.contains("${") {
        return;
    }
    let form = match form % 2 {
        0 => FileForm::Hocon,
        _ => FileForm::Flat,
    };
    let Some(config) = load(text, form) else {
        return;
    };
    let rules = Rules::new(&config.auth.acl);
    // Topics, names and ids that the rules are about are in the text.
    let words: Vec<&str> = text.split('"').take(40).collect();
    for name in ["client", "", "+", "a/b"]
        .iter()
        .chain(words.iter().take(8))
    {
        let subject = Subject {
            client_id: (*name).into(),
            username: Some(Arc::from(*name)),
            address: [127, 0, 0, 1].into(),
            superuser: false,
        };
        for action in [Action::Publish, Action::Subscribe] {
            let all = rules.decide_for_all(&subject, action);
            let topics = ["a", "a/b", "$SYS/x", "", "+/#"];
            let topics = topics.iter().chain(&words);
            let rulings: HashSet<_> = topics
                .map(|topic| format!("{:?}", rules.decide(&subject, action, topic)))
                .collect();
            assert!(all.is_none() || rulings.len() == 1, "{text}");
        }
    }
    let written = render_effective(&config);
    if !written.contains("******") {
        let again = load(&written, FileForm::Hocon).expect("what was written can be read");
        assert_eq!(render_effective(&again), written);
    }
});
