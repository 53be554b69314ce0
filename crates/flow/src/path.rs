//! Paths into JSON values: the subset of JSONPath that mappings and conditions use.
//!
//! `.key`, `[n]` and `[*]`, chained. Each `[*]` flattens one level: once one has occurred, the path selects any number of
//! values, passes over those that lack what follows, and gives one flat list.

use serde_json::Value;

/// A way from a value to a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    hops: Vec<Hop>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hop {
    Key(String),
    Index(usize),
    All,
}

/// A path that cannot be read: after how many bytes, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadPath {
    pub(crate) offset: usize,
    pub(crate) reason: &'static str,
}

/// What may stand in a key of a mapping's path.
pub(crate) fn is_mapping_key(c: char) -> bool {
    !matches!(c, '.' | '[' | ']') && !c.is_whitespace() && !c.is_control()
}

/// What may stand in a key of a condition's path, where operators follow without a space.
pub(crate) fn is_condition_key(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

impl Path {
    /// Reads hops as far as they go. Returns the path and how many bytes it took.
    pub(crate) fn read(text: &str, is_key: fn(char) -> bool) -> Result<(Self, usize), BadPath> {
        let mut hops = Vec::new();
        let mut offset = 0;
        loop {
            let rest = &text[offset..];
            if let Some(rest) = rest.strip_prefix('.') {
                let key: String = rest.chars().take_while(|c| is_key(*c)).collect();
                if key.is_empty() {
                    return Err(BadPath {
                        offset: offset + 1,
                        reason: "a key is missing after '.'",
                    });
                }
                offset += 1 + key.len();
                hops.push(Hop::Key(key));
            } else if let Some(rest) = rest.strip_prefix('[') {
                let bad =
                    BadPath { offset: offset + 1, reason: "'[' needs an index or '*', and ']'" };
                let (inner, _) = rest.split_once(']').ok_or(bad)?;
                hops.push(match inner {
                    "*" => Hop::All,
                    digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
                        Hop::Index(digits.parse().map_err(|_| bad)?)
                    }
                    _ => return Err(bad),
                });
                offset += 2 + inner.len();
            } else {
                return Ok((Self { hops }, offset));
            }
        }
    }

    /// Reads a text that is a path and nothing else.
    pub(crate) fn read_whole(text: &str) -> Result<Self, BadPath> {
        match Self::read(text, is_mapping_key)? {
            (path, offset) if offset == text.len() => Ok(path),
            (_, offset) => Err(BadPath { offset, reason: "'.' or '[' is expected here" }),
        }
    }

    /// Whether the path selects any number of values.
    pub(crate) fn projects(&self) -> bool {
        self.hops.contains(&Hop::All)
    }

    /// Whether the path takes the first of these keys in turn and nothing else; it need not take all.
    pub(crate) fn leads_along(&self, keys: &[&str]) -> bool {
        self.hops.len() <= keys.len()
            && self.hops.iter().zip(keys).all(|(hop, key)| matches!(hop, Hop::Key(k) if k == key))
    }

    /// The part of `root` that the path leads to; nothing if it leads nowhere.
    pub(crate) fn find(&self, root: &Value) -> Option<Value> {
        let mut found = vec![root];
        let mut many = false;
        for hop in &self.hops {
            match hop {
                Hop::All => {
                    if !many && !found.iter().all(|value| value.is_array()) {
                        return None;
                    }
                    many = true;
                    found = found.into_iter().filter_map(Value::as_array).flatten().collect();
                }
                Hop::Key(key) => found = found.into_iter().filter_map(|v| v.get(key)).collect(),
                Hop::Index(at) => found = found.into_iter().filter_map(|v| v.get(at)).collect(),
            }
            if !many && found.is_empty() {
                return None;
            }
        }
        if many {
            return Some(Value::Array(found.into_iter().cloned().collect()));
        }
        found.first().map(|value| (*value).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(root: Value, path: &str, expected: Option<Value>) {
        assert_eq!(Path::read_whole(path).unwrap().find(&root), expected, "{path}");
    }

    #[test]
    fn paths_lead_to_parts() {
        let root = json!({"a": {"b": [1, {"c": 2}]}, "key-1": null});
        check(root.clone(), "", Some(root.clone()));
        check(root.clone(), ".a.b[1].c", Some(json!(2)));
        check(root.clone(), ".key-1", Some(json!(null)));
        check(root.clone(), ".a.x", None);
        check(root.clone(), ".a.b[2]", None);
        check(root.clone(), ".a[0]", None);
        check(root, ".a.b.c", None);
    }

    #[test]
    fn projections_flatten_and_pass_over_what_is_missing() {
        let root = json!([{"p": [1, 2]}, {"q": 0}, {"p": [3]}, {"p": 4}]);
        check(root.clone(), "[*].p", Some(json!([[1, 2], [3], 4])));
        check(root.clone(), "[*].p[*]", Some(json!([1, 2, 3])));
        check(root.clone(), "[*].p[0]", Some(json!([1, 3])));
        check(root.clone(), "[*].none", Some(json!([])));
        check(json!({"a": 1}), "[*]", None);
        check(json!({"a": 1}), ".a[*]", None);
        check(json!([]), "[*].x", Some(json!([])));
    }

    #[test]
    fn malformed_paths_say_where() {
        let check = |text: &str, offset| {
            assert_eq!(Path::read_whole(text).map_err(|bad| bad.offset), Err(offset), "{text}");
        };
        check(".", 1);
        check(".a..b", 3);
        check("a", 0);
        check("[x]", 1);
        check("[1", 1);
        check("[99999999999999999999999]", 1);
        check(".a b", 2);
        check("[]", 1);
    }
}
