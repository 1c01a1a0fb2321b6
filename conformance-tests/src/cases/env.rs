//! `ENV`: variables of the image.

use super::BUILD;
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::expect_eq;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "env/values",
        promise: "ENV sets several variables, quoted or not, also in the form without `=`",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(values(cx)),
    },
    Case {
        id: "env/refers-to-earlier",
        promise: "ENV may use variables of earlier instructions, not of its own",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(refers_to_earlier(cx)),
    },
    Case {
        id: "env/over-the-base",
        promise: "ENV replaces a variable of the base and keeps the others",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(over_the_base(cx)),
    },
];

async fn values(cx: Cx) -> CaseResult {
    let text = "FROM scratch\nWORKDIR /w\nENV a=1 b=\"two words\" c=three\\ words d='$a'\nENV e the rest  of it\n";
    let image = cx.build(text).await?;
    for (name, wanted) in [
        ("a", "1"),
        ("b", "two words"),
        ("c", "three words"),
        ("d", "$a"),
        ("e", "the rest  of it"),
    ] {
        expect_eq!(image.variable(name), Some(wanted), "`{name}`");
    }
    Ok(())
}

async fn refers_to_earlier(cx: Cx) -> CaseResult {
    let text = "FROM scratch\nWORKDIR /w\nENV a=old\nENV a=new b=$a\nENV c=${a}er d=\\$a\n";
    let image = cx.build(text).await?;
    for (name, wanted) in [("a", "new"), ("b", "old"), ("c", "newer"), ("d", "$a")] {
        expect_eq!(image.variable(name), Some(wanted), "`{name}`");
    }
    Ok(())
}

async fn over_the_base(cx: Cx) -> CaseResult {
    let text = "FROM scratch AS one\nWORKDIR /w\nENV a=1 b=2\nFROM one\nENV b=3 c=4\n";
    let image = cx.build(text).await?;
    for (name, wanted) in [("a", "1"), ("b", "3"), ("c", "4")] {
        expect_eq!(image.variable(name), Some(wanted), "`{name}`");
    }
    let lines = image.config().config.env.iter().filter(|line| line.starts_with("b="));
    expect_eq!(lines.count(), 1);
    Ok(())
}
