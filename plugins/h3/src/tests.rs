//! What is concluded from connections that are written out here.

use pathspider_plugin_api::testing::{self, TestFlow};

use super::*;

/// The connection over TCP, with these headers of its response.
fn over_tcp(state: State, headers: Option<&str>) -> TestFlow {
    let flow = testing::flow(state).with(syn::COUNT_FWD, 1);
    match headers {
        Some(headers) => flow.outcome("http_response_header", headers),
        None => flow,
    }
}

/// The one by HTTP/3.
fn by_quic(state: State) -> TestFlow {
    testing::flow(state).with(quic::VERSION_FWD, quic::version(1))
}

fn failed(flow: TestFlow, phase: &'static str, error: &'static str) -> TestFlow {
    flow.outcome("spdr_phase", phase).outcome("spdr_error", error)
}

fn conclude(a: TestFlow, b: TestFlow) -> String {
    let h3: H3 = testing::with_options(Record::new());
    let job = Job::new(0, [192, 0, 2, 1].into(), 443, Record::new());
    let found = testing::conclude_of(&h3, &job, &[a, b]);
    let short: Vec<&str> = found.iter().map(|one| one.trim_start_matches("h3.")).collect();
    short.join(" ")
}

const OFFERS: Option<&str> = Some("server: x\r\nAlt-Svc: h2=\":443\", h3=\":443\"; ma=86400\r\n");

#[test]
fn a_page_by_both_works() {
    assert_eq!(
        conclude(over_tcp(State::Ok, OFFERS), by_quic(State::Ok)),
        "connectivity.works response.offered"
    );
    let silent = conclude(over_tcp(State::Ok, Some("a: b\r\n")), by_quic(State::Ok));
    assert_eq!(silent, "connectivity.works response.unoffered");
}

#[test]
fn only_what_is_offered_can_be_broken() {
    let dead = || failed(by_quic(State::Timeout), "connect", "timeout");
    assert_eq!(
        conclude(over_tcp(State::Ok, OFFERS), dead()),
        "connectivity.broken response.offered quic.failure:connect_timeout"
    );
    for headers in [
        "a: b\r\n",
        "alt-svc: h3=\":8443\"\r\n",
        "alt-svc: clear\r\n",
        "x-alt-svc: h3=\":443\"\r\n",
    ] {
        assert_eq!(
            conclude(over_tcp(State::Ok, Some(headers)), dead()),
            "protocol.absent response.unoffered quic.failure:connect_timeout"
        );
    }
    // Where QUIC answered, it is there, and what fails then is no want of it.
    let later = failed(by_quic(State::Timeout), "request", "timeout").outcome("spdr_carried", true);
    assert_eq!(
        conclude(over_tcp(State::Ok, Some("a: b\r\n")), later),
        "connectivity.broken response.unoffered quic.failure:request_timeout"
    );
}

#[test]
fn without_tcp_nothing_is_broken() {
    let dead = || failed(over_tcp(State::Failed, None), "tls", "reset");
    assert_eq!(
        conclude(dead(), by_quic(State::Ok)),
        "connectivity.transient tcp.failure:tls_reset"
    );
    let both = conclude(dead(), failed(by_quic(State::Timeout), "connect", "timeout"));
    assert_eq!(both, "connectivity.offline tcp.failure:tls_reset quic.failure:connect_timeout");
    assert_eq!(
        conclude(over_tcp(State::Ok, OFFERS), testing::flow(State::Ok)),
        "response.offered pathspider.not_observed"
    );
}
