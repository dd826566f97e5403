//! What a script may ask for, and nothing else: a closed list of commands, read without any shell.
//!
//! ```text
//! scp -t [-d] [-p] [--] FOLDER|NAME.mp4|NAME.lockfile      what `scp -O` starts here
//! internal-sftp, .../sftp-server                           what `scp` and `sftp` start here
//! touch [--] NAME.lockfile     : > NAME.lockfile     > NAME.lockfile
//! rm [-f] [--] NAME.lockfile
//! ```
//!
//! A file stands alone, behind `./` or behind the whole path of the folder, and may be in quotes, which then mean nothing: a name
//! has no character that means anything to a shell.

use crate::inbox::name::{FileName, Name};
use std::ffi::OsStr;
use std::path::Path;

/// The longest command; a path and a NAME fit.
const MOST_BYTES: usize = 4608;
/// How much of a refused command is repeated in the answer.
const SHOWN: usize = 200;

/// A command that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// scp's server side, which takes files in. `target` is a file of the inbox, or `.`.
    Scp {
        /// `-d`: the target must be a folder.
        folder: bool,
        /// `-p`: the files keep their times and modes.
        preserve: bool,
        /// Where to.
        target: String,
    },
    /// sftp's server side.
    Sftp,
    /// `NAME.lockfile` shall be there.
    Lock(Name),
    /// `NAME.lockfile` shall be gone, and the recording be taken over for good.
    Unlock(Name),
}

/// A command that is not on the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused: {0}; allowed are scp, sftp, \"touch NAME.lockfile\" and \"rm NAME.lockfile\"")]
pub struct Refused(String);

impl Request {
    /// Reads the command of a script that may write into the folder `inbox`.
    ///
    /// # Errors
    /// It is not on the list.
    pub fn parse(command: &str, inbox: &Path) -> Result<Self, Refused> {
        let refused = || Refused(command.chars().take(SHOWN).collect::<String>().escape_debug().to_string());
        let plain = command.len() <= MOST_BYTES && command.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let words: Vec<&str> = command.split(' ').filter(|word| !word.is_empty()).collect();
        let request = match words.split_first().filter(|_| plain) {
            Some((&"scp", options)) => scp(options, inbox),
            Some((&"touch", files)) => lock(after_options(files, &[]), inbox).map(Self::Lock),
            Some((&"rm", files)) => lock(after_options(files, &["-f"]), inbox).map(Self::Unlock),
            Some((&":", redirection)) => emptied(redirection, inbox),
            Some((first, _)) if first.starts_with('>') => emptied(&words, inbox),
            // What the server calls its subsystem; its arguments are the server's, and ours are used.
            Some((first, _)) if *first == "internal-sftp" || first.ends_with("/sftp-server") => {
                Some(Self::Sftp)
            }
            _ => None,
        };
        request.ok_or_else(refused)
    }
}

fn scp(options: &[&str], inbox: &Path) -> Option<Request> {
    let has = |option: &str| options.contains(&option);
    let [target] = after_options(options, &["-t", "-d", "-p"])? else { return None };
    let target = match within(target, inbox)? {
        "" => ".".to_owned(),
        file => match FileName::of(OsStr::new(file)) {
            FileName::Recording(_) | FileName::Lock(_) => file.to_owned(),
            _ => return None,
        },
    };
    has("-t").then(|| Request::Scp { folder: has("-d"), preserve: has("-p"), target })
}

/// `> FILE` or `>FILE`.
fn emptied(redirection: &[&str], inbox: &Path) -> Option<Request> {
    let file = match redirection {
        [">", file] => file,
        [file] => file.strip_prefix('>')?,
        _ => return None,
    };
    lock(Some(&[file]), inbox).map(Request::Lock)
}

/// What stands behind the options, all of which must be among `allowed`; none may be there twice.
fn after_options<'a, 'b>(words: &'a [&'b str], allowed: &[&str]) -> Option<&'a [&'b str]> {
    let options = words.iter().take_while(|word| word.starts_with('-') && **word != "--").count();
    let (options, rest) = words.split_at(options);
    let twice = options
        .iter()
        .enumerate()
        .any(|(n, option)| options.get(..n).is_some_and(|before| before.contains(option)));
    let good = !twice && options.iter().all(|option| allowed.contains(option));
    good.then(|| rest.strip_prefix(&["--"]).unwrap_or(rest))
}

/// The NAME of the one lockfile among `files`.
fn lock(files: Option<&[&str]>, inbox: &Path) -> Option<Name> {
    let [file] = files? else { return None };
    match FileName::of(OsStr::new(within(file, inbox)?)) {
        FileName::Lock(name) => Some(name),
        _ => None,
    }
}

/// What `path` is called in the inbox: nothing for the folder itself.
fn within<'a>(path: &'a str, inbox: &Path) -> Option<&'a str> {
    let quoted = |quote| path.strip_prefix(quote)?.strip_suffix(quote);
    let path = quoted('\'').or_else(|| quoted('"')).unwrap_or(path);
    let inner = match path.strip_prefix(inbox.to_str()?) {
        Some("") => "",
        Some(below) => below.strip_prefix('/')?,
        None if path == "." => "",
        None => path.strip_prefix("./").unwrap_or(path),
    };
    (!inner.contains('/')).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(command: &str) -> Result<Request, Refused> {
        Request::parse(command, Path::new("/srv/inbox"))
    }

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    #[test]
    fn what_scp_starts_is_understood() {
        let scp =
            |folder, preserve, target: &str| Request::Scp { folder, preserve, target: target.to_owned() };
        for (command, request) in [
            ("scp -t .", scp(false, false, ".")),
            ("scp -t ./", scp(false, false, ".")),
            ("scp -d -t .", scp(true, false, ".")),
            ("scp -p -t -- a.mp4", scp(false, true, "a.mp4")),
            ("scp -t ./a-1_B.lockfile", scp(false, false, "a-1_B.lockfile")),
            ("scp -t /srv/inbox", scp(false, false, ".")),
            ("scp -t /srv/inbox/", scp(false, false, ".")),
            ("scp -t /srv/inbox/a.mp4", scp(false, false, "a.mp4")),
            ("internal-sftp", Request::Sftp),
            ("internal-sftp -u 0007 -l INFO", Request::Sftp),
            ("/usr/lib/openssh/sftp-server", Request::Sftp),
        ] {
            assert_eq!(parse(command).as_ref(), Ok(&request), "{command}");
        }
    }

    #[test]
    fn locks_are_made_and_removed_in_the_ways_that_scripts_have() {
        for command in [
            "touch a.b.lockfile",
            "touch -- a.b.lockfile",
            "touch  ./a.b.lockfile",
            "touch 'a.b.lockfile'",
            ": > a.b.lockfile",
            ": >a.b.lockfile",
            "> /srv/inbox/a.b.lockfile",
            ">\"a.b.lockfile\"",
        ] {
            assert_eq!(parse(command), Ok(Request::Lock(name("a.b"))), "{command}");
        }
        for command in
            ["rm a.lockfile", "rm -f a.lockfile", "rm -f -- './a.lockfile'", "rm /srv/inbox/a.lockfile"]
        {
            assert_eq!(parse(command), Ok(Request::Unlock(name("a"))), "{command}");
        }
    }

    fn assert_refused(command: &str) {
        assert!(parse(command).is_err(), "{command:?} is {:?}", parse(command));
    }

    #[test]
    fn no_other_program_is_started_and_scp_in_no_other_way() {
        for command in [
            "",
            " ",
            "sh",
            "id",
            "scp",
            "scp .",
            "scp -f a.mp4",
            "scp -r -t .",
            "scp -t",
            "scp -t -- -t",
            "scp -t -t .",
            "scp -tp .",
            "scp -t a.mp4 b.mp4",
            "scp -t -S/bin/sh .",
            "scp -t ..",
            "scp -t ../a.mp4",
            "scp -t /etc/a.mp4",
            "scp -t /srv/inbox/../a.mp4",
            "scp -t /srv/inboxes/a.mp4",
            "scp -t //srv/inbox/a.mp4",
            "scp -t inbox//a.mp4",
            "scp -t .bashrc",
            "scp -t a.part",
            "scp -t a;b.mp4",
            "scp -t $(id).mp4",
            "/usr/bin/scp -t .",
            "sftp-server",
            "sftp-server -e",
        ] {
            assert_refused(command);
        }
    }

    #[test]
    fn no_other_file_is_touched_or_removed() {
        let long = format!("rm {}.lockfile", "x".repeat(129));
        let longer = format!("rm {}a.lockfile", " ".repeat(MOST_BYTES));
        for command in [
            "touch",
            "touch a.mp4",
            "touch -d now a.lockfile",
            "touch a.lockfile b.lockfile",
            "touch a.lockfile && id",
            "touch a.lockfile;id",
            "touch a.lockfile\nid",
            "touch \u{e9}.lockfile",
            ": >> a.lockfile",
            ": a.lockfile",
            ": > a.mp4",
            "echo > a.lockfile",
            ">",
            "> a.lockfile id",
            "rm",
            "rm -rf a.lockfile",
            "rm -r a.lockfile",
            "rm -f -f a.lockfile",
            "rm a.mp4",
            "rm *.lockfile",
            "rm .lockfile",
            "rm -- -f.lockfile",
            "rm ../a.lockfile",
            "rm b/a.lockfile",
            "rm './../a.lockfile'",
            "rm 'a.lockfile",
            "rm ''a.lockfile''",
            "rm 'a .lockfile'",
            "rm `id`.lockfile",
            "rm $HOME.lockfile",
            "rm a.lockfile | id",
            "RM a.lockfile",
            "rm\ta.lockfile",
            &long,
            &longer,
        ] {
            assert_refused(command);
        }
    }

    #[test]
    fn a_refusal_repeats_little_and_nothing_that_a_terminal_obeys() {
        let error =
            parse(&format!("\u{1b}[2J{}", "x".repeat(10_000))).expect_err("must be refused").to_string();
        assert!(error.starts_with("refused: \\u{1b}[2Jxxx") && error.len() < 400, "{error}");
    }
}
