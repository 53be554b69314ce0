//! Profiles as users may write them, and what is said of those that cannot be used.

use super::*;

fn known() -> Vec<(&'static str, Vec<&'static str>)> {
    let lambda = vec!["Invoke", "GetFunction", "GetPolicy", "ListTags"];
    vec![("lambda", lambda), ("fnf", vec!["StartExecution"])]
}

fn check(text: &str, expected: &str) {
    let found = Profile::read(text, &known()).expect_err(text);
    assert_eq!(found.to_string(), expected, "{text}");
}

/// A bucket of Lambda's from its further lines, of which the first is the file's third.
fn check_bucket(lines: &str, expected: &str) {
    check(&format!("[[bucket]]\nservice = \"lambda\"\n{lines}"), expected);
}

#[test]
fn what_is_no_profile_is_refused_by_line_and_member() {
    check("retry_after", "line 1: key with no value, expected `=`");
    check(
        "\nburst = 3",
        "line 2: burst: unknown field `burst`, expected one of `retry_after`, `bucket`, `unlimited`",
    );
    check("retry_after = 1", "line 1: retry_after: invalid type: integer `1`, expected a boolean");
    check(
        "[[bucket]]\nservice = 3",
        "line 2: bucket[0].service: invalid type: integer `3`, expected a string",
    );
    check_bucket("rate = 1\nburst = 1", "line 1: bucket[0]: missing field `operations`");
    check_bucket(
        "operations = [\"Invoke\"]\nbrust = 1",
        "line 4: bucket[0].brust: unknown field `brust`, expected one of `service`, `operations`, `shared`, `scope`, \
         `rate`, `burst`, `exception`",
    );
    check_bucket(
        "operations = [\"Invoke\"]\nscope = \"region\"",
        "line 4: bucket[0].scope: unknown variant `region`, expected `account+region` or `account`",
    );
}

#[test]
fn services_and_operations_must_be_there() {
    check(
        "[[unlimited]]\nservice = \"s3\"\noperations = [\"*\"]",
        "line 2: unlimited[0].service: unknown service `s3`, expected lambda or fnf",
    );
    let rest = "rate = 1\nburst = 1";
    check_bucket(
        &format!("operations = [\n\"Invoke\",\n\"StartExecution\"]\n{rest}"),
        "line 5: bucket[0].operations[1]: unknown operation `StartExecution` of lambda",
    );
    check_bucket(
        &format!("operations = []\n{rest}"),
        "line 3: bucket[0].operations: no operation; [\"*\"] means all that no other bucket names",
    );
    check_bucket(
        &format!("operations = [\"Invoke\", \"*\"]\n{rest}"),
        "line 3: bucket[0].operations[1]: \"*\" beside names: it stands alone",
    );
    let bucket = |name| {
        format!(
            "[[bucket]]\nservice = \"lambda\"\noperations = [\"{name}\"]\nrate = 1\nburst = 1\n"
        )
    };
    for name in ["Invoke", "*"] {
        check(
            &bucket(name).repeat(2),
            &format!(
                "line 8: bucket[1].operations[0]: the operation `{name}` of lambda stands here twice"
            ),
        );
    }
}

#[test]
fn figures_must_make_sense() {
    let with = |rate: &str, burst: &str| {
        format!("operations = [\"Invoke\"]\nrate = {rate}\nburst = {burst}")
    };
    for rate in ["0", "0.0", "-1", "1_000_001"] {
        let number = rate.replace('_', "").replace(".0", "");
        let text = format!("{number} per second, expected more than 0 and at most 1000000");
        check_bucket(&with(rate, "1"), &format!("line 4: bucket[0].rate: {text}"));
    }
    let not_finite = "per second, expected more than 0 and at most 1000000";
    check_bucket(&with("nan", "1"), &format!("line 4: bucket[0].rate: NaN {not_finite}"));
    check_bucket(&with("inf", "1"), &format!("line 4: bucket[0].rate: inf {not_finite}"));
    check_bucket(
        &with("\"1\"", "1"),
        "line 4: bucket[0].rate: invalid type: string \"1\", expected f64",
    );
    check_bucket(
        &with("1", "0"),
        "line 5: bucket[0].burst: invalid value: integer `0`, expected a nonzero u32",
    );
    check_bucket(
        &with("1", "31_536_001"),
        "line 5: bucket[0].burst: takes 31536001 s to fill at this rate, more than a year",
    );
    let text = format!("[[bucket]]\nservice = \"lambda\"\n{}", with("0.001", "31536"));
    assert!(Profile::read(&text, &known()).is_ok());
}

#[test]
fn exceptions_are_for_regions_that_could_be() {
    let with =
        |exceptions: &str| format!("operations = [\"Invoke\"]\nrate = 1\nburst = 1\n{exceptions}");
    let exception = |regions: &str| {
        format!("[[bucket.exception]]\nregions = [{regions}]\nrate = 2\nburst = 2\n")
    };
    check_bucket(
        &with(&exception("\"Mars\"")),
        "line 7: bucket[0].exception[0].regions[0]: 'Mars' is not a region: [a-z0-9]+(-[a-z0-9]+)+",
    );
    check_bucket(&with(&exception("")), "line 7: bucket[0].exception[0].regions: no region");
    check_bucket(
        &with(&[exception("\"us-east-1\""), exception("\"eu-west-1\", \"us-east-1\"")].concat()),
        "line 11: bucket[0].exception[1].regions[1]: `us-east-1` stands in this bucket's exceptions twice",
    );
}

#[test]
fn the_number_of_buckets_has_a_limit() {
    let names: Vec<_> = (0..=BUCKETS_MAX).map(|n| format!("Op{n}")).collect();
    let known = [("lambda", names.iter().map(String::as_str).collect())];
    let bucket = "[[bucket]]\nservice = \"lambda\"\noperations = [\"*\"]\nshared = false\nrate = 1\nburst = 1";
    let refused = Profile::read(bucket, &known).unwrap_err();
    assert_eq!(refused.to_string(), "line 2: bucket[0]: more than 10000 buckets");
}

#[test]
fn an_empty_profile_is_off() {
    assert!(Profile::read("", &known()).unwrap().buckets.is_empty());
    assert!(Profile::off().buckets.is_empty());
}
