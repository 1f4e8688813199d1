//! Whether a statement given by a user may serve as a check: one statement, and it reads.
//!
//! This finds mistakes early. What a function does that the statement calls cannot be seen here, so
//! the server runs the check in a read-only transaction as well.

/// What is wrong with `sql` as a check, as an instruction.
pub(crate) fn objection(sql: &str) -> Option<&'static str> {
    let Some(words) = words(sql) else {
        return Some("must close its quotes and comments");
    };
    let mut parts = words
        .split(|word| word == ";")
        .filter(|part| !part.is_empty());
    let Some(first) = parts.next() else {
        return Some("must not be empty; leave it out for the cheapest check");
    };
    if parts.next().is_some() {
        return Some("must be a single statement");
    }
    let reads = READING.contains(&first[0].as_str());
    let writes = first.iter().any(|word| WRITING.contains(&word.as_str()));
    (!reads || writes).then_some("must only read: SELECT, VALUES, TABLE, SHOW or WITH")
}

/// The bare words and semicolons, in upper case; none when a quote or comment is left open.
fn words(sql: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let word = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let skip = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)?
        } else if first == '\'' || first == '"' {
            quoted(rest, first, false)?
        } else if rest.starts_with("E'") || rest.starts_with("e'") {
            1 + quoted(&rest[1..], '\'', true)?
        } else if let Some(tag) = dollar_tag(rest) {
            2 * tag.len() + rest[tag.len()..].find(tag)?
        } else if word > 0 {
            words.push(rest[..word].to_uppercase());
            word
        } else {
            if first == ';' {
                words.push(";".into());
            }
            first.len_utf8()
        };
        rest = &rest[skip..];
    }
    Some(words)
}

/// The length of the comment that `rest` begins with; comments nest.
fn comment(rest: &str) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    loop {
        let here = rest.get(at..)?;
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += here.chars().next()?.len_utf8();
        }
    }
}

/// The length of the quoted text that `rest` begins with.
fn quoted(rest: &str, quote: char, backslashes: bool) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if backslashes && c == '\\' {
            chars.next()?;
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + 1);
        }
    }
    None
}

/// The `$tag$` that `rest` begins with.
fn dollar_tag(rest: &str) -> Option<&str> {
    let name = rest.strip_prefix('$')?;
    let end = name.find('$')?;
    let (name, first) = (&name[..end], name.chars().next()?);
    let fits = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (end == 0 || (fits && !first.is_ascii_digit())).then(|| &rest[..end + 2])
}

const READING: [&str; 5] = ["SELECT", "VALUES", "TABLE", "SHOW", "WITH"];
const WRITING: [&str; 7] = [
    "INSERT", "UPDATE", "DELETE", "MERGE", "INTO", "NEXTVAL", "SETVAL",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reading_statement_passes() {
        for sql in [
            "SELECT 1",
            "select 1;",
            " /* a /* nested */ comment; */ SELECT 1 -- ; DROP TABLE t",
            "SHOW transaction_read_only",
            "SELECT 'a;b'';DELETE', \"in;to\", $$ ; DELETE $$, $x$;$$;$x$, E'\\';'",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "SELECT extversion FROM pg_extension WHERE extname = 'vector'",
            "SELECT 'ä;'",
        ] {
            assert_eq!(objection(sql), None, "{sql}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for sql in [
            "",
            " ; ",
            "-- SELECT 1",
            "SELECT 1; SELECT 2",
            "SELECT 1; DROP TABLE t",
            "DELETE FROM t",
            "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d",
            "SELECT * INTO t FROM u",
            "SELECT * FROM t FOR UPDATE",
            "SELECT nextval('s')",
            "SELECT 'open",
            "SELECT /* open",
            "SELECT $x$ open $y$",
            "SELECT ''; COMMIT",
            "SELECT 'a\\'; COMMIT --'",
            "COMMIT",
            "BEGIN",
            "DO $$ BEGIN END $$",
        ] {
            assert!(objection(sql).is_some(), "{sql}");
        }
    }
}
