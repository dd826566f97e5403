//! JSON Schema, as far as the documents of this repository use it.

use serde_json::Value;

/// What of `value` does not fit `schema`: the words of JSON Schema that the document uses, and no others.
pub fn misfits(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (word, wanted) in schema.as_object().expect("a schema") {
        found.extend(match word.as_str() {
            "$ref" => {
                let named = document.pointer(wanted.as_str().expect("a reference").trim_start_matches('#'));
                misfits(document, named.expect("a schema of that name"), value, at)
            }
            "type" => refused(one_or_many(wanted).any(|kind| is(value, kind)), at, wanted),
            "enum" => refused(one_or_many(wanted).any(|one| one == value), at, wanted),
            "anyOf" => {
                let fits = |schema| misfits(document, schema, value, at).is_empty();
                refused(one_or_many(wanted).any(fits), at, wanted)
            }
            "items" => value
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
                .flat_map(|(index, item)| misfits(document, wanted, item, &format!("{at}[{index}]")))
                .collect(),
            "properties" => wanted
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(name, schema)| Some((name, schema, value.get(name)?)))
                .flat_map(|(name, schema, value)| misfits(document, schema, value, &format!("{at}.{name}")))
                .collect(),
            "required" => one_or_many(wanted)
                .filter(|name| value.get(name.as_str().expect("a name")).is_none())
                .map(|name| format!("{at} lacks {name}"))
                .collect(),
            "additionalProperties" => value
                .as_object()
                .into_iter()
                .flat_map(|object| object.keys())
                .filter(|name| schema["properties"].get(name.as_str()).is_none())
                .map(|name| format!("{at} has {name}, which is not described"))
                .collect(),
            "description" => Vec::new(),
            other => panic!("this test does not know {other}"),
        });
    }
    found
}

fn one_or_many(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter()
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().expect("a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("no type is called {other}"),
    }
}

fn refused(fits: bool, at: &str, wanted: &Value) -> Vec<String> {
    if fits { Vec::new() } else { vec![format!("{at} is not {wanted}")] }
}
