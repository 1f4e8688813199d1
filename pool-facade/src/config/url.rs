//! The pool's own parameters in the URL of a server.

use percent_encoding::percent_decode_str;

use super::sources::{Entry, Origin, Value};

/// Takes the parameters that begin with `pool_` out of `url`.
pub(super) fn split(url: &str) -> (String, Vec<Entry>) {
    let (front, query) = url.split_once('?').unwrap_or((url, ""));
    if query.contains('@') {
        // The question mark belongs to a password; the driver has the words for it.
        return (url.into(), Vec::new());
    }
    let mut entries = Vec::new();
    let mut rest = front.to_owned();
    let mut separator = '?';
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let Some(path) = name.strip_prefix("pool_") {
            let value = percent_decode_str(value).decode_utf8();
            entries.push(Entry {
                path: path.replace("__", "."),
                value: value.map_or(Value::Wrong("must be UTF-8"), |it| Value::Text(it.into())),
                origin: Origin::Url(name.into()),
            });
        } else {
            rest.push(separator);
            rest.push_str(pair);
            separator = '&';
        }
    }
    (rest, entries)
}

/// What may be shown of a URL: its scheme and its host.
///
/// Credentials end at the last `@`, so that a password which breaks the URL is not shown either;
/// where a piece of it could be taken for the host, the host is left out.
pub(super) fn redact(url: &str) -> String {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let word = |text: &str, more: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    if scheme.is_empty() || !word(scheme, "+-.") {
        return "..".into();
    }
    let rest = &url[scheme.len() + 3..];
    let (front, query) = rest.split_once('?').unwrap_or((rest, ""));
    let host = front.rsplit_once('@').map(|(_, after)| {
        let end = after.find(['/', '#']).unwrap_or(after.len());
        &after[..end]
    });
    match host {
        Some(host) if !query.contains('@') && word(host, "-.:,[]_%") => {
            format!("{scheme}://..@{host}/..")
        }
        _ => format!("{scheme}://.."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pools_own_parameters_are_taken() {
        let (rest, entries) = split("pg://h/d?a=1&pool_max_size=20&b&pool_retry__jitter=10%25");
        assert_eq!(rest, "pg://h/d?a=1&b");
        let taken: Vec<_> = entries
            .iter()
            .map(|it| match &it.value {
                Value::Text(text) => (it.path.as_str(), text.as_str()),
                _ => unreachable!("both are text"),
            })
            .collect();
        assert_eq!(taken, [("max_size", "20"), ("retry.jitter", "10%")]);
        assert_eq!(split("pg://h/d?pool_name=a").0, "pg://h/d");
        assert_eq!(split("nothing").0, "nothing");
    }

    #[test]
    fn no_piece_of_a_password_is_shown() {
        for (url, shown) in [
            (
                "postgres://app:canary@db.example:5432/shop",
                "postgres://..@db.example:5432/..",
            ),
            ("http://app:canary@[::1]:80", "http://..@[::1]:80/.."),
            ("postgres://app:cana/ry@db/shop", "postgres://..@db/.."),
            ("postgres://app:c@nary@db#x", "postgres://..@db/.."),
            ("postgres://app:c@n?ary@db/shop", "postgres://.."),
            ("postgres://u:p@db/shop?password=c@nary", "postgres://.."),
            (
                "postgres://u:p@db/shop?password=canary",
                "postgres://..@db/..",
            ),
            ("postgres://canary", "postgres://.."),
            ("canary", ".."),
            ("can ary://x@y", ".."),
        ] {
            assert_eq!(redact(url), shown);
        }
    }
}
