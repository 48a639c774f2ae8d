//! What is asked, when once more, and what counts as an answer.

use pathspider_arrivals::Mark;

use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

fn target() -> SocketAddr {
    ([192, 0, 2, 1], 7117).into()
}

fn key() -> Key {
    Key::of(b"the key of these tests")
}

fn now(millis: u64) -> Now {
    let at = Duration::from_millis(millis);
    Now { at, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + at }
}

fn flow(port: u16) -> Option<(IpAddr, Sought)> {
    let mark = Mark::of_sequence(port.into());
    Some((HERE, Sought { is_tcp: true, source_port: port, destination_port: 80, mark }))
}

fn answer(to: &Datagram, found: Match) -> Vec<u8> {
    let question = Question::read(&to.octets, &key()).unwrap();
    let (nonce, from) = (question.nonce, HERE);
    Answer { nonce, found, kept_us: 1, count: 1, from, arrivals: Vec::new() }.written(&key())
}

fn found(reply: &Reply) -> Option<Match> {
    match reply {
        Reply::Answer(answer, _) => Some(answer.found),
        Reply::Unknown(_) => None,
    }
}

#[test]
fn each_flow_is_asked_for_until_it_is_known() {
    let mut questions = Questions::new(key());
    questions.begin(5, target(), vec![flow(1), None, flow(2)], now(0).at);
    let first = questions.due(now(0));
    assert_eq!(first.len(), 2);
    assert!(first.iter().all(|one| one.from == HERE && one.to == target()));
    assert!(questions.due(now(299)).is_empty());
    questions.heard(&answer(&first[0], Match::Both), target(), now(299));
    // A question that comes late was answered as well as the one that repeats it.
    let second = questions.due(now(300));
    assert_eq!(second.len(), 1);
    assert_ne!(first[1].octets, second[0].octets, "each is asked once");
    assert!(questions.ended().is_empty());
    questions.heard(&answer(&first[1], Match::Mark), target(), now(301));
    let ended = questions.ended();
    let [(5, replies)] = ended.as_slice() else { panic!("{ended:?}") };
    let all: Vec<_> = replies.iter().map(found).collect();
    assert_eq!(all, [Some(Match::Both), None, Some(Match::Mark)]);
    assert!(questions.is_empty() && questions.by_nonce.is_empty());
}

#[test]
fn who_never_answers_is_given_up() {
    let mut questions = Questions::new(key());
    questions.begin(1, target(), vec![flow(1)], now(0).at);
    let sent: Vec<u64> =
        (0..10_000).filter(|millis| !questions.due(now(*millis)).is_empty()).collect();
    assert_eq!(sent, [0, 300, 1_000, 2_500]);
    assert_eq!(questions.ended(), [(1, vec![Reply::Unknown("no answer came")])]);
    questions.begin(2, target(), vec![flow(1)], now(0).at);
    assert_eq!(questions.give_up(), [(2, vec![Reply::Unknown("the run was stopped")])]);
    assert!(questions.is_empty() && questions.by_nonce.is_empty());
}

#[test]
fn a_responder_that_knows_nothing_is_asked_again_and_then_believed() {
    let mut questions = Questions::new(key());
    questions.begin(1, target(), vec![flow(1)], now(0).at);
    for millis in [0, 250, 500] {
        assert!(questions.ended().is_empty());
        let sent = questions.due(now(millis));
        questions.heard(&answer(&sent[0], Match::Nothing), target(), now(millis));
    }
    assert_eq!(found(&questions.ended()[0].1[0]), Some(Match::Nothing));
    questions.begin(1, target(), vec![flow(1)], now(0).at);
    let sent = questions.due(now(0));
    questions.heard(&answer(&sent[0], Match::Nothing), target(), now(0));
    let sent = questions.due(now(250));
    questions.heard(&answer(&sent[0], Match::Both), target(), now(251));
    assert_eq!(found(&questions.ended()[0].1[0]), Some(Match::Both));
}

#[test]
fn what_others_send_is_no_answer() {
    let mut questions = Questions::new(key());
    questions.begin(1, target(), vec![flow(1)], now(0).at);
    let sent = questions.due(now(0));
    let right = answer(&sent[0], Match::Both);
    let mut changed = right.clone();
    changed[24] ^= 1;
    questions.heard(&changed, target(), now(1));
    questions.heard(&sent[0].octets, target(), now(1));
    questions.heard(&right, ([192, 0, 2, 9], 7117).into(), now(1));
    questions.heard(&right, ([192, 0, 2, 1], 53).into(), now(1));
    assert!(questions.ended().is_empty());
    questions.heard(&right, target(), now(1));
    assert_eq!(questions.ended().len(), 1);
    questions.heard(&right, target(), now(2));
}
