//! Files that are made to break a reader: threat 24. Each ends in an answer, in time and memory in proportion to the file.

use boxwright_dockerfile::diagnostic::Diagnostic;
use boxwright_dockerfile::directive;
use boxwright_dockerfile::plan::{Base, Options, Plan};
use proptest::prelude::*;

fn plan(text: &str) -> Result<Plan, Vec<Diagnostic>> {
    Plan::new(text, Options::default())
}

/// The messages of the errors of a file that is refused.
fn refused(text: &str) -> Vec<String> {
    let problems = plan(text).expect_err("it is refused");
    assert!(problems.len() <= 202, "{} problems", problems.len());
    problems.into_iter().map(|it| it.message).collect()
}

fn refused_for(text: &str, fact: &str) {
    let messages = refused(text);
    assert!(
        messages.iter().any(|it| it.contains(fact)),
        "{fact}: {:?}",
        &messages[..messages.len().min(3)]
    );
}

#[test]
fn a_line_of_ten_megabytes_threat_24() {
    refused_for(&format!("FROM scratch\nRUN {}", "x".repeat(10 << 20)), "longer than 65535 bytes");
    refused_for(
        &format!("FROM scratch\nRUN {}", "x\\\n".repeat(3 << 20)),
        "longer than 1048576 bytes",
    );
    refused_for(&"x".repeat(17 << 20), "larger than 16777216 bytes");
}

#[test]
fn an_unterminated_here_document_threat_24() {
    let text = format!("FROM scratch\nRUN <<EOF\n{}", "RUN x\n".repeat(100_000));
    refused_for(&text, "the here-document `EOF` does not end");
}

#[test]
fn a_hundred_thousand_stages_threat_24() {
    refused_for(&"FROM a\n".repeat(100_000), "more than 20000 instructions");
    let chain: String =
        (0..9_999).map(|it| format!("FROM s{it} AS s{}\nENV a{it}=1\n", it + 1)).collect();
    refused_for(&format!("FROM scratch AS s0\n{chain}"), "too much text");
    let wide: String =
        (1..9_999).map(|it| format!("FROM s0 AS s{it}\nCOPY --from=s{} / /\n", it - 1)).collect();
    let found = plan(&format!("FROM scratch AS s0\n{wide}")).expect("it is right");
    assert_eq!(found.needed().count(), 9_999);
}

#[test]
fn arguments_that_expand_themselves_threat_24() {
    let doubling = "ARG A=$A$A\n".repeat(64);
    refused_for(&format!("ARG A=0123456789\n{doubling}FROM scratch\n"), "too much text");
    refused_for(&format!("FROM scratch\nARG A=0123456789\n{doubling}"), "too much text");
    let document = format!("COPY <<E /\n{}\nE\n", "$A".repeat(1000));
    let value = "x".repeat(60_000);
    refused_for(&format!("FROM scratch\nARG A={value}\n{document}"), "too much text");
    refused_for(
        &format!("FROM scratch\nENV A={}{}\n", "${A:-".repeat(9_000), "}".repeat(9_000)),
        "nested deeper",
    );
}

#[test]
fn patterns_that_backtrack_threat_24() {
    let pattern = "*a".repeat(5_000);
    let value = "a".repeat(50_000);
    refused_for(
        &format!("FROM scratch\nARG A={value}\nENV B=${{A##{pattern}b}}\n"),
        "too much text",
    );
    let pattern = "*a".repeat(50);
    let found = plan(&format!("FROM scratch\nARG A={value}\nENV B=${{A##{pattern}b}}\n"))
        .expect("it is right");
    assert!(found.evaluate(found.target(), &Base::scratch()).is_ok());
}

#[test]
fn nesting_and_repetition_threat_24() {
    refused_for(&format!("FROM scratch\n{}RUN x", "ONBUILD ".repeat(8_000)), "cannot be triggered");
    refused_for(
        &format!("FROM scratch\nCMD {}{}", "[".repeat(30_000), "]".repeat(30_000)),
        "strings only",
    );
    refused_for(
        &format!("FROM scratch\nRUN --mount={} x", "a,".repeat(30_000)),
        "more than 100 options",
    );
    refused_for(&"COPY a \\\n".repeat(130_000), "more than 200000 words");
    refused_for(&"COPPY\n".repeat(1 << 20), "more than 20000 instructions");
    refused_for(&"ENV a\n".repeat(1 << 20), "there are more problems than these 100");
    refused_for(&"\\\n".repeat(1 << 20), "there is no instruction on this line");
}

#[test]
fn a_thousand_warnings_stop_no_build() {
    let text = format!("FROM scratch\n{}", "ENV a $nothing\n".repeat(1000));
    let found = plan(&text).expect("it is right");
    assert!(found.warnings().len() > 100 && found.warnings().len() < 300);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Text of the pieces that mean something, in any order.
    #[test]
    fn any_text_gets_an_answer_with_places_in_the_file(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)
    ) {
        let text: String = pieces.concat();
        let problems = match plan(&text) {
            Ok(found) => {
                let all: Vec<_> = found.needed().map(|stage| found.evaluate(stage.id, &Base::scratch())).collect();
                all.into_iter().flat_map(|it| it.map_or_else(|all| all, |it| it.warnings)).collect()
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                problems
            }
        };
        for problem in problems {
            prop_assert!(problem.span.start <= problem.span.end && problem.span.end <= text.len(), "{problem:?}");
            prop_assert!(problem.render("Dockerfile", &text).is_char_boundary(0));
        }
    }

    #[test]
    fn no_frontend_is_left_to_fetch(pieces in prop::collection::vec(prop::sample::select(TOP), 0..12)) {
        let text: String = pieces.concat();
        let result = directive::without_syntax(&text);
        prop_assert_eq!(directive::syntax(&result), None);
        prop_assert_eq!(result.matches('\n').count(), text.matches('\n').count());
    }
}

const PIECES: &[&str] = &[
    "FROM ",
    "scratch",
    "\n",
    "\n",
    "\n",
    " AS a",
    " ",
    "RUN ",
    "COPY ",
    "ADD ",
    "--from=a ",
    "--from=0 ",
    "--mount=",
    "type=cache,",
    "target=/x ",
    "ENV ",
    "ARG ",
    "LABEL ",
    "a=b",
    "$a",
    "${a:-",
    "}",
    "\"",
    "'",
    "\\",
    "\\\n",
    "<<EOF",
    "EOF\n",
    "<<-'E'",
    "E\n",
    "[\"a\", ",
    "\"b\"]",
    "# syntax=x\n",
    "# escape=`\n",
    "`",
    "é",
    "\u{feff}",
    "\r\n",
    "ONBUILD ",
    "HEALTHCHECK ",
    "CMD ",
    "NONE",
    "--interval=1s ",
    "EXPOSE ",
    "80-90/tcp",
    "USER ",
    "4294967296",
    "WORKDIR ",
    "SHELL ",
    "STOPSIGNAL ",
    "VOLUME ",
    "--",
    "\t",
    "#",
    "https://a/b.git#c",
    "https://a/b",
    "--parents ",
    "a/./b",
    "--chmod=u+x ",
    "--checksum=x ",
    "${a##*",
    "${a/b/",
    ",",
    "=",
    "\u{2028}",
];

const TOP: &[&str] = &[
    "# syntax=a\n",
    "#syntax = b\n",
    "//syntax=c\n",
    "# escape=`\n",
    "# check=x\n",
    "#\n",
    "\n",
    "#!/bin/sh\n",
    "\u{feff}",
    "{\"syntax\": \"d\"}",
    "FROM scratch\n",
    "# SYNTAX=e\r\n",
    "# syntax=  \n",
    "// escape=\\\n",
    "# syntax=",
    " ",
];
