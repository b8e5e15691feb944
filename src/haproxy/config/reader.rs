//! Files to sections to values.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Configuration;
use super::args::Args;
use super::blocks::Blocks;
use super::budget::Budget;
use super::check;
use super::compile;
use super::condition::Facts;
use super::finding::{ConfigurationError, Finding, FindingKind, Severity};
use super::global::{self, Change, Effect, Global};
use super::keywords::{self, Scope};
use super::line::Line;
use super::location::{Located, Location, Word};
use super::pages::HttpErrors;
use super::peers::Peers;
use super::proxy::Proxy;
use super::section::{self, Defaults, Section};

/// Reads configurations, with what the text may ask of its surroundings.
///
/// ```
/// use stickroute::haproxy::ConfigurationReader;
///
/// let text = r#"
/// listen app
///     mode http
///     bind "*:${PORT-8080}"
///     timeout client 30s
///     timeout server 30s
///     timeout connect 5s
///     server s1 10.0.0.1:80
/// "#;
/// let configuration = ConfigurationReader::new()
///     .environment(|name| (name == "PORT").then(|| "9000".to_owned()))
///     .file("app.cfg", text)
///     .read()?;
/// let bind = &configuration.proxies[0].frontend.binds[0];
/// assert_eq!(bind.addresses.value[0].to_string(), "*:9000");
/// # Ok::<(), stickroute::haproxy::ConfigurationError>(())
/// ```
#[must_use = "nothing is read until read() is called"]
pub struct ConfigurationReader<'e> {
    environment: Box<Lookup<'e>>,
    features: Vec<String>,
    local_peer: Option<String>,
    max_connections: Option<u32>,
    files: Vec<(String, Vec<u8>)>,
}

type Lookup<'e> = dyn Fn(&str) -> Option<String> + 'e;

impl Default for ConfigurationReader<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ConfigurationReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<_> = self.files.iter().map(|(name, _)| name).collect();
        f.debug_struct("ConfigurationReader")
            .field("features", &self.features)
            .field("local_peer", &self.local_peer)
            .field("files", &files)
            .finish_non_exhaustive()
    }
}

impl<'e> ConfigurationReader<'e> {
    /// A reader without files, in an empty environment, without features.
    pub fn new() -> Self {
        Self {
            environment: Box::new(|_| None),
            features: Vec::new(),
            local_peer: None,
            max_connections: None,
            files: Vec::new(),
        }
    }

    /// Sets the lookup of environment variables; default: none is set.
    ///
    /// `setenv`, `presetenv`, `unsetenv` and `resetenv` of the configuration act on top
    /// of it, and on nothing else.
    pub fn environment(mut self, lookup: impl Fn(&str) -> Option<String> + 'e) -> Self {
        self.environment = Box::new(lookup);
        self
    }

    /// Adds a name for which `.if feature(NAME)` holds; default: none.
    pub fn feature(mut self, name: impl Into<String>) -> Self {
        self.features.push(name.into());
        self
    }

    /// Names the local peer, so that `peers` sections without it are told. HAProxy: `-L`,
    /// `localpeer`.
    pub fn local_peer(mut self, name: impl Into<String>) -> Self {
        self.local_peer = Some(name.into());
        self
    }

    /// Sets the connections of the process at a time, whatever `maxconn` in `global` says; 0
    /// leaves that as it is. `fullconn` is a tenth of what the frontends let in, where no
    /// line says it. HAProxy: `-n`.
    pub fn max_connections(mut self, limit: u32) -> Self {
        self.max_connections = Some(limit).filter(|limit| *limit > 0);
        self
    }

    /// Adds a file; what earlier ones say holds in later ones, too, but a section ends
    /// with its file. HAProxy: `-f`.
    pub fn file(mut self, name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), text.into()));
        self
    }

    /// Reads all files and checks them.
    ///
    /// # Errors
    /// Everything that is wrong, in all files, sorted by place. After 10 000 findings the
    /// lines that follow are not read, and the last finding says so.
    pub fn read(self) -> Result<Configuration, ConfigurationError> {
        let mut reading = Reading::new(&self);
        for (order, (name, text)) in self.files.iter().enumerate() {
            reading.file(order as u32, name, text);
        }
        reading.finish(self.local_peer.as_deref())
    }
}

/// What has been read so far.
struct Reading<'r> {
    reader: &'r ConfigurationReader<'r>,
    /// What `setenv` and its kin made of variables; `None` is unset.
    variables: BTreeMap<String, Option<String>>,
    /// After `resetenv`, variables of the environment that are left.
    kept: Option<Vec<String>>,
    blocks: Blocks,
    section: Section,
    global: Global,
    defaults: Defaults,
    proxies: Vec<Proxy>,
    peers: Vec<Peers>,
    http_errors: Vec<HttpErrors>,
    findings: Vec<Finding>,
    no_effect: Vec<Word>,
    budget: Budget,
    /// Whether lines were left unread.
    gave_up: bool,
}

/// After so many findings the rest is not read.
const MOST_FINDINGS: usize = 10_000;

impl<'r> Reading<'r> {
    fn new(reader: &'r ConfigurationReader<'r>) -> Self {
        Self {
            reader,
            variables: BTreeMap::new(),
            kept: None,
            blocks: Blocks::default(),
            section: Section::None,
            global: Global::default(),
            defaults: Defaults::default(),
            proxies: Vec::new(),
            peers: Vec::new(),
            http_errors: Vec::new(),
            findings: Vec::new(),
            no_effect: Vec::new(),
            budget: Budget::default(),
            gave_up: false,
        }
    }

    fn file(&mut self, order: u32, name: &str, text: &[u8]) {
        self.section = Section::None;
        let mut location = Location {
            order,
            line: 0,
            column: 1,
            file: Arc::from(name),
        };
        // A file that ends with a line feed does not end with an empty line.
        let lines = text.strip_suffix(b"\n").unwrap_or(text);
        for line in lines.split(|&byte| byte == b'\n') {
            location.line = location.line.saturating_add(1);
            if self.findings.len() >= MOST_FINDINGS {
                return self.give_up(location);
            }
            self.line(line, &location);
        }
        if !text.is_empty() && lines.len() == text.len() {
            self.findings.push(unended(&location));
        }
        if self.blocks.close_all() {
            let end = Word {
                bytes: b"end of file".to_vec(),
                location,
            };
            let message = "an .if block is not closed; expected .endif";
            self.findings
                .push(Finding::error(FindingKind::Block, &end, message));
        }
    }

    /// What is wrong so often is no configuration.
    fn give_up(&mut self, location: Location) {
        if !std::mem::replace(&mut self.gave_up, true) {
            let word = Word {
                bytes: b"line".to_vec(),
                location,
            };
            let message = format!("not read: there are {MOST_FINDINGS} findings before it");
            let finding = Finding::error(FindingKind::Line, &word, message);
            self.findings.push(finding);
        }
    }

    fn line(&mut self, text: &[u8], location: &Location) {
        let environment = |name: &str| self.variable(name);
        let line = match Line::read(text, location, &environment) {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(finding) => return self.findings.push(finding),
        };
        if line.words[0].bytes.starts_with(b".") {
            let facts = Facts {
                environment: &|name| {
                    variable(&self.variables, self.kept.as_deref(), self.reader, name)
                },
                features: &self.reader.features,
            };
            self.findings.extend(self.blocks.follow(&line, &facts));
        } else if self.blocks.is_active() {
            self.directive(&line, text.len());
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        variable(&self.variables, self.kept.as_deref(), self.reader, name)
    }

    fn directive(&mut self, line: &Line, length: usize) {
        let mut args = Args::of(line);
        match self.begin(&mut args) {
            Some(Section::Proxy(proxy)) => {
                self.proxies.push(*proxy);
                self.section = Section::LastProxy;
            }
            Some(Section::Peers(peers)) => {
                self.peers.push(*peers);
                self.section = Section::LastPeers;
            }
            Some(Section::HttpErrors(section)) => {
                self.http_errors.push(*section);
                self.section = Section::LastHttpErrors;
            }
            Some(section) => self.section = section,
            None => self.setting(&mut args, length),
        }
    }

    fn begin(&mut self, args: &mut Args<'_>) -> Option<Section> {
        let Self {
            defaults,
            budget,
            findings,
            ..
        } = self;
        section::begin(args, defaults, budget, findings)
    }

    /// A line within a section.
    fn setting(&mut self, args: &mut Args<'_>, length: usize) {
        let proxy = match self.section {
            Section::Global => return self.global_setting(args),
            Section::LastPeers => return self.peers_setting(args),
            Section::LastHttpErrors => return self.page_setting(args),
            Section::LastProxy => self.proxies.last_mut(),
            Section::LastDefaults => {
                self.defaults.count(length);
                self.defaults.current()
            }
            Section::Skipped | Section::Proxy(_) | Section::Peers(_) | Section::HttpErrors(_) => {
                return;
            }
            Section::None => None,
        };
        let Some(proxy) = proxy else {
            let message = section::expected(args.current().text());
            let finding = Finding::error(FindingKind::Misplaced, args.current(), message);
            return self.findings.push(finding);
        };
        let mut scope = Scope {
            proxy,
            findings: &mut self.findings,
            no_effect: &mut self.no_effect,
            budget: &mut self.budget,
        };
        keywords::follow(&mut scope, args);
    }

    fn global_setting(&mut self, args: &mut Args<'_>) {
        match global::follow(&mut self.global, args) {
            Ok(Effect::None) => {}
            Ok(Effect::Nothing(word)) => self.no_effect.push(word),
            Ok(Effect::Environment(change)) => self.change(change),
            Err(finding) => self.findings.push(finding),
        }
    }

    fn peers_setting(&mut self, args: &mut Args<'_>) {
        let peers = self.peers.last_mut().expect("its section has begun");
        match peers.follow(args, &mut self.findings) {
            Ok(no_effect) => self.no_effect.extend(no_effect),
            Err(finding) => self.findings.push(finding),
        }
    }

    fn page_setting(&mut self, args: &mut Args<'_>) {
        let section = self.http_errors.last_mut();
        let section = section.expect("its section has begun");
        self.findings.extend(section.follow(args).err());
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Set(name, value) => {
                self.variables.insert(name, Some(value));
            }
            Change::Preset(name, value) => {
                if self.variable(&name).is_none() {
                    self.variables.insert(name, Some(value));
                }
            }
            Change::Unset(names) => {
                let unset = names.into_iter().map(|name| (name, None));
                self.variables.extend(unset);
            }
            Change::Keep(names) => {
                self.variables.retain(|name, _| names.contains(name));
                self.kept = Some(match self.kept.take() {
                    Some(kept) => kept
                        .into_iter()
                        .filter(|name| names.contains(name))
                        .collect(),
                    None => names,
                });
            }
        }
    }

    fn finish(mut self, local_peer: Option<&str>) -> Result<Configuration, ConfigurationError> {
        let local = self
            .global
            .local_peer
            .as_ref()
            .map(|word| word.text().to_owned());
        let local = local.or_else(|| local_peer.map(str::to_owned));
        // What is missing may be in lines that were not read.
        if !self.gave_up {
            let local = local.as_deref();
            let reads = compile::all(&mut self.proxies, &mut self.findings);
            let findings = &mut self.findings;
            check::all(&mut self.proxies, &self.peers, &reads, local, findings);
            check::pages(&self.proxies, &self.http_errors, findings);
        }
        self.findings.extend(no_effect(&self.no_effect));
        self.findings.sort_by(|a, b| a.location.cmp(&b.location));
        let findings = self.findings;
        if findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
        {
            return Err(ConfigurationError { findings });
        }
        if let Some(limit) = self.reader.max_connections {
            self.global.maxconn = Some(given(limit));
        }
        Ok(Configuration {
            global: self.global,
            proxies: self.proxies,
            peers: self.peers,
            http_errors: self.http_errors,
            findings,
        })
    }
}

fn variable(
    variables: &BTreeMap<String, Option<String>>,
    kept: Option<&[String]>,
    reader: &ConfigurationReader<'_>,
    name: &str,
) -> Option<String> {
    if let Some(value) = variables.get(name) {
        return value.clone();
    }
    let is_kept = kept.is_none_or(|kept| kept.iter().any(|kept| kept == name));
    is_kept.then(|| (reader.environment)(name)).flatten()
}

/// What the caller has said, at a place that is in no file.
fn given(limit: u32) -> Located<u32> {
    Located {
        value: limit,
        location: Location {
            order: 0,
            line: 0,
            column: 0,
            file: Arc::from("caller"),
        },
    }
}

/// HAProxy refuses such a file; a text handed over in memory is no file.
fn unended(location: &Location) -> Finding {
    let word = Word {
        bytes: b"end of file".to_vec(),
        location: location.clone(),
    };
    let message = "the last line does not end with a line feed, so the file may be cut off";
    Finding::warning(FindingKind::Doubtful, &word, message)
}

/// One warning that names all keywords without effect, where the first of them is.
fn no_effect(words: &[Word]) -> Option<Finding> {
    let first = words.iter().min_by_key(|word| &word.location)?;
    let mut names: Vec<_> = words.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    let message = format!("no effect on routing and persistence: {}", names.join(", "));
    Some(Finding::warning(FindingKind::NoEffect, first, message))
}
