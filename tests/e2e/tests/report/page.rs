//! The page of `report --html`, in a browser: what it shows, at every width, and that it asks for
//! nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pathspider_e2e::{Program, skipped, temp_dir};
use serde_json::{Value, json};

use super::{record, run};

/// What a script in the page finds out: whether tables sort and filter, what overlaps, what sticks out
/// of the page, and what was loaded.
const LOOK: &str = r#"
const found = { errors: window.failures, loaded: performance.getEntriesByType("resource").length };
found.policy = !document.querySelector("iframe, img, object, link");
found.tables = document.querySelectorAll("table.sortable").length;
const first = (table, at) => table.tBodies[0].rows[0].cells[at].textContent.trim();
const networks = [...document.querySelectorAll("table.sortable")].find(t => t.tHead.textContent.includes("info.ASN"));
if (networks) {
  const heads = networks.querySelectorAll("th button");
  heads[1].click();
  found.most = first(networks, 0);
  heads[1].click();
  found.least = first(networks, 0);
  found.sort = networks.querySelectorAll("th")[1].getAttribute("aria-sort");
  const input = networks.parentElement.previousElementSibling?.querySelector("input");
  if (input) {
    input.value = "64503";
    input.dispatchEvent(new Event("input"));
  }
  found.left = [...networks.tBodies[0].rows].filter(row => !row.hidden).length;
}
found.wide = document.documentElement.scrollWidth > document.documentElement.clientWidth + 1;
found.overlaps = 0;
for (const svg of document.querySelectorAll("svg")) {
  const boxes = [...svg.querySelectorAll("text")].map(text => text.getBoundingClientRect());
  const view = svg.getBoundingClientRect();
  boxes.forEach((a, i) => {
    if (a.left < view.left - 1 || a.right > view.right + 1) found.overlaps += 1;
    boxes.slice(i + 1).forEach(b => {
      if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4) found.overlaps += 1;
    });
  });
}
found.small = [...document.querySelectorAll("svg text")].some(text => text.getBoundingClientRect().height < 9);
found.colour = getComputedStyle(document.body).backgroundColor;
const result = document.createElement("pre");
result.id = "found";
result.textContent = JSON.stringify(found);
document.body.append(result);
"#;

/// Chromium, as Debian names it.
fn browser() -> Option<Command> {
    let found = Command::new("sh").args(["-c", "command -v chromium"]).output().ok()?;
    if !found.status.success() {
        return None;
    }
    let mut command = Command::new("chromium");
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--enable-logging=stderr",
    ]);
    Some(command)
}

/// Looks at a page in a browser of this width; `None` where there is no browser.
fn look(page: &Path, width: u32, dark: bool) -> Option<Value> {
    let text = fs::read_to_string(page).unwrap();
    let head = "<script>window.failures = []; window.onerror = (said) => { window.failures.push(said); };</script>";
    let text = text.replacen("<body>", &format!("<body>{head}"), 1);
    let (before, after) = text.rsplit_once("</body>").unwrap();
    let copy = page.with_extension(format!("{width}-{dark}.html"));
    fs::write(&copy, format!("{before}<script>{LOOK}</script></body>{after}")).unwrap();
    let profile = page.with_extension(format!("{width}-{dark}.profile"));
    let output = browser()?
        .arg(format!("--window-size={width},2000"))
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
        .arg("--dump-dom")
        .arg(format!("file://{}", copy.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains(":CONSOLE"), "{said}");
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, found) =
        dom.split_once("<pre id=\"found\">").unwrap_or_else(|| panic!("{dom}\n{said}"));
    let found = found.split_once("</pre>").unwrap().0.replace("&lt;", "<").replace("&gt;", ">");
    Some(serde_json::from_str(&found.replace("&amp;", "&")).unwrap())
}

/// Makes a page of these records.
fn page(test: &str, records: &str) -> PathBuf {
    let folder = temp_dir(test);
    let file = folder.join("a.ndjson").display().to_string();
    fs::write(&file, records).unwrap();
    let page = folder.join("page.html");
    let arguments = ["report", &file, "--min", "1", "--html", &page.display().to_string()];
    let end = Program::command(&arguments).output().unwrap();
    let expected = if records.is_empty() { 7 } else { 0 };
    assert_eq!(end.status.code(), Some(expected), "{}", String::from_utf8_lossy(&end.stderr));
    page
}

/// Records of this many networks. The names of some are hostile to pages.
fn of_networks(networks: u32) -> String {
    let mut text = String::new();
    for network in 0..networks {
        for target in 0..=network {
            let word = if target % 3 == 0 { "broken" } else { "works" };
            let asn = match network {
                1 => json!("<img src=http://192.0.2.1/x onerror=alert(1)>\"'&=cmd()"),
                2 => json!("a very long name ".repeat(30)),
                other => json!(64500 + other),
            };
            let more = json!({"info": {"ASN": asn}, "domain": "<script>alert(1)</script>"});
            text += &record(
                &format!("192.0.{network}.{target}"),
                &more,
                &[
                    &format!("ecn.connectivity.{word}"),
                    "<b>.</b>:\u{202e}<script>alert(2)</script>",
                ],
            );
        }
    }
    text
}

#[test]
fn a_page_shows_its_numbers_at_every_width_and_asks_for_nothing() {
    let page = page("page", &of_networks(50));
    let text = fs::read_to_string(&page).unwrap();
    assert_eq!(text.matches("<script").count(), 1, "ours alone");
    assert!(!text.contains("<img") && !text.contains('\u{202e}'));
    for what in ["1,275 records", "ecn.connectivity by info.ASN", "--by info.ASN", "64549"] {
        assert!(text.contains(what), "no {what:?}");
    }
    let mut colours = Vec::new();
    for (width, dark) in [(1280, false), (1280, true), (390, false), (390, true)] {
        let Some(found) = look(&page, width, dark) else {
            return skipped("there is no chromium");
        };
        assert_eq!(found["errors"], json!([]), "{found}");
        assert_eq!((&found["loaded"], &found["policy"]), (&json!(0), &json!(true)), "{found}");
        assert_eq!(
            (&found["most"], &found["sort"]),
            (&json!("64549"), &json!("ascending")),
            "{found}"
        );
        assert_eq!((&found["least"], &found["left"]), (&json!("64500"), &json!(1)), "{found}");
        assert_eq!((&found["wide"], &found["overlaps"]), (&json!(false), &json!(0)), "{found}");
        assert_eq!(found["small"], false, "{found}");
        colours.push(found["colour"].clone());
    }
    assert_ne!(colours[0], colours[1], "dark is dark");
}

#[test]
fn a_page_of_none_of_one_and_of_many_groups_on_paper() {
    for networks in [0, 1, 2, 50] {
        let page = page(&format!("page-{networks}"), &of_networks(networks));
        let Some(found) = look(&page, 1280, false) else { return skipped("there is no chromium") };
        assert_eq!((&found["errors"], &found["overlaps"]), (&json!([]), &json!(0)), "{found}");
        let text = fs::read_to_string(&page).unwrap();
        assert_eq!(text.contains("no record was read"), networks == 0);
        let paper = page.with_extension("pdf");
        let Some(mut print) = browser() else { return skipped("there is no chromium") };
        let profile = format!("--user-data-dir={}", page.with_extension("profile").display());
        let to = format!("--print-to-pdf={}", paper.display());
        let printed = print.args([&profile, &to, &format!("file://{}", page.display())]).output();
        assert!(printed.unwrap().status.success());
        assert!(fs::read(&paper).unwrap().starts_with(b"%PDF"));
    }
}

#[test]
fn a_page_is_not_written_over_what_is_there() {
    let page = page("page-there", &of_networks(1));
    let file = page.with_file_name("a.ndjson").display().to_string();
    let page = page.display().to_string();
    run(&["report", &file, "--html", &page]).expect(8, &["--force writes over it"]);
    run(&["report", &file, "--html", &page, "--force"]).expect(0, &[]);
    run(&["report", &file, "--force"]).expect(2, &["--html"]);
}
