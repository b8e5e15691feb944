//! Reads the files of `-f`, and says what the library finds in them.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::Path;

use stickroute::haproxy::{Configuration, ConfigurationError, ConfigurationReader, Severity};

use super::Refused;
use crate::command_line::flags::Files;

pub(super) fn read(files: &Files) -> Result<Configuration, Refused> {
    let mut reader = ConfigurationReader::new().environment(|name| std::env::var(name).ok());
    reader = reader.max_connections(files.maxconn);
    if let Some(name) = &files.local_peer {
        reader = reader.local_peer(name);
    }
    for path in all_files(files)? {
        let text = fs::read(&path).map_err(|error| refuse(files, &path, &error))?;
        reader = reader.file(path, text);
    }
    let read = reader.read();
    let findings = read.as_ref();
    let findings = findings.map_or_else(ConfigurationError::findings, Configuration::findings);
    for finding in findings {
        match finding.severity() {
            Severity::Notice => files.voice.notice(finding),
            Severity::Warning => files.voice.warning(finding),
            Severity::Error => files.voice.alert(finding),
        }
    }
    read.map_err(|_| Refused)
}

fn refuse(files: &Files, path: &str, error: &dyn Display) -> Refused {
    files.voice.alert(format_args!("{path}: {error}"));
    Refused
}

/// A folder stands for the files `*.cfg` in it, by name, without the hidden ones.
fn all_files(files: &Files) -> Result<Vec<String>, Refused> {
    let mut all = Vec::new();
    for path in &files.paths {
        let found = if Path::new(path).is_dir() {
            configurations(path).map_err(|error| refuse(files, path, &error))?
        } else {
            vec![path.clone()]
        };
        if found.is_empty() {
            return Err(refuse(files, path, &"no file *.cfg in this folder"));
        }
        all.extend(found);
    }
    Ok(all)
}

fn configurations(folder: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_meant = path.extension().is_some_and(|end| end == "cfg");
        let name = path.file_name().unwrap_or_default();
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        if is_meant && !is_hidden && path.is_file() {
            found.extend(path.to_str().map(str::to_owned));
        }
    }
    found.sort();
    Ok(found)
}
