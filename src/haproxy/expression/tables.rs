//! Fetches and converters that read stick tables, by their names.

use std::sync::Arc;

use super::arguments::{Arguments, unsigned};
use super::error::ExpressionError;
use crate::DataKind;
use crate::fetch::{Question, TableRead, TableRef};

/// A table that is named, or meant, in an expression, and where.
#[derive(Clone, Debug)]
pub(in crate::haproxy) struct Reference {
    /// Where the expression begins in the text around it.
    pub(in crate::haproxy) start: usize,
    /// Where the name of the table is in the expression, or that of the fetch or
    /// converter if the table is left out.
    pub(in crate::haproxy) position: usize,
    /// Name of the fetch or converter.
    pub(in crate::haproxy) of: String,
    /// `None` for the table of the section itself.
    pub(in crate::haproxy) table: Option<Arc<str>>,
    pub(in crate::haproxy) question: Question,
}

/// What a converter of this name asks, with element 0 of an array.
pub(super) fn of_converter(name: &str) -> Option<Question> {
    match name {
        "in_table" => Some(Question::IsThere),
        "table_server_id" => Some(Question::ServerId),
        "table_trackers" => Some(Question::Trackers),
        _ => data(name.strip_prefix("table_")?),
    }
}

/// What a fetch of this name asks about the source, with element 0 of an array.
pub(super) fn of_fetch(name: &str) -> Option<Question> {
    let name = name.strip_prefix("src_")?;
    let stripped = name.strip_prefix("get_");
    let question = data(stripped.unwrap_or(name))?;
    let is_general = matches!(
        question,
        Question::Data(
            DataKind::Tag0
                | DataKind::Tags
                | DataKind::Counter0
                | DataKind::Counter1
                | DataKind::Counters,
            _
        )
    );
    (is_general == stripped.is_some()).then_some(question)
}

fn data(name: &str) -> Option<Question> {
    Some(match name {
        "kbytes_in" => Question::Kilobytes(DataKind::BytesInCount),
        "kbytes_out" => Question::Kilobytes(DataKind::BytesOutCount),
        "bytes_in_cnt" | "bytes_out_cnt" => return None,
        _ => Question::Data(DataKind::named(name.as_bytes())?, 0),
    })
}

/// Reads the arguments: the table, before it the element of an array, which needs both.
/// `position` is where the name is.
pub(super) fn read(
    question: Question,
    position: usize,
    arguments: &mut Arguments,
    references: &mut Vec<Reference>,
) -> Result<TableRead, ExpressionError> {
    const TABLE: &str = "the name of a stick table";
    let utf8 = |name: &[u8]| std::str::from_utf8(name).ok().map(Arc::from);
    let (question, table) = match question {
        Question::Data(kind, _) if kind.is_array() => {
            let element = arguments.parse_required("a number from 0", unsigned)?;
            let table = arguments.parse_required(TABLE, utf8)?;
            (Question::Data(kind, element), Some(table))
        }
        _ => (question, arguments.parse(TABLE, utf8)?),
    };
    references.push(Reference {
        start: 0,
        position: table.as_ref().map_or(position, |_| arguments.here()),
        of: arguments.of().to_owned(),
        table: table.clone(),
        question,
    });
    let table = TableRef::Named(table);
    Ok(TableRead { question, table })
}
