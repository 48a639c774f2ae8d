//! Connections that depend on earlier ones: each begins when the former one is known.

use super::*;

const THREE: [Hold; 3] = [Hold::Initiation; 3];

fn dependent(holds: &[Hold], change: impl FnOnce(&mut Rules<'_>)) -> Bench {
    Bench::with(holds, Limits::default(), |rules| {
        rules.depends = true;
        change(rules);
    })
}

#[test]
fn the_next_connection_begins_when_the_former_one_is_known() {
    let mut run = dependent(&THREE, |_| {});
    run.read([1]);
    assert_eq!(run.actions(), "[0] 1a");
    run.begun(id(1, 0));
    assert_eq!(run.end(id(1, 0)), "report 1a ok");
    assert_eq!(run.wakes, None, "the observer wakes it, and no clock");
    assert_eq!(run.known(id(1, 0)), "[1] 1b");
    run.begun(id(1, 1));
    assert_eq!(run.end(id(1, 1)), "report 1b ok");
    assert_eq!(run.known(id(1, 1)), "[2] 1c");
    run.begun(id(1, 2));
    run.happens(Event::Fed);
    assert_eq!(run.end(id(1, 2)), "report 1c ok settle", "nothing depends on the last one");
    run.written(1);
    assert_eq!(run.actions(), "over");
}

#[test]
fn what_is_known_of_another_connection_lets_none_begin() {
    let mut run = dependent(&THREE, |_| {});
    run.read([1, 2]);
    run.actions();
    for job in [1, 2] {
        run.begun(id(job, 0));
        run.end(id(job, 0));
    }
    assert_eq!(run.known(id(2, 0)), "[1] 2b");
    for other in [id(1, 1), id(2, 0), id(2, 1), id(9, 0)] {
        assert_eq!(run.known(other), "");
    }
    run.begun(id(2, 1));
    assert_eq!(run.known(id(2, 1)), "", "it has not ended");
    assert_eq!(run.known(id(1, 0)), "1b");
}

#[test]
fn a_silent_connection_lets_no_dependent_one_overlap() {
    let mut run = dependent(&THREE, |rules| rules.beside = 9);
    run.read([1]);
    run.actions();
    assert!(!run.begun(id(1, 0)).silence);
    run.happens(Event::Silent(id(1, 0)));
    assert_eq!(run.actions(), "");
}

#[test]
fn a_job_that_rests_takes_no_room_and_goes_on_before_a_new_one_is_read() {
    let mut run = dependent(&THREE[..2], |rules| rules.workers = 1);
    run.read([1]);
    run.actions();
    assert!(!run.course.wants_jobs());
    run.begun(id(1, 0));
    run.end(id(1, 0));
    assert!(run.course.wants_jobs(), "nothing of the first is under way");
    run.read([2]);
    assert_eq!(run.actions(), "2a");
    run.begun(id(2, 0));
    assert_eq!(run.known(id(1, 0)), "", "there is no room");
    run.happens(Event::Ended(id(2, 0), "ok"));
    assert!(!run.course.wants_jobs(), "the first has the room");
    assert_eq!(run.actions(), "report 2a ok [1] 1b");
    run.begun(id(1, 1));
    assert_eq!(run.known(id(2, 0)), "", "there is no room");
    assert_eq!(run.end(id(1, 1)), "report 1b ok 2b");
}

#[test]
fn a_stop_lets_jobs_that_rest_go_on() {
    let mut run = dependent(&THREE[..2], |_| {});
    run.read([1]);
    run.actions();
    run.begun(id(1, 0));
    run.end(id(1, 0));
    run.happens(Event::Stop);
    assert_eq!(run.course.taken(), 1);
    assert_eq!(run.actions(), "", "its first connection is not known yet");
    assert_eq!(run.known(id(1, 0)), "[1] 1b");
    run.begun(id(1, 1));
    assert_eq!(run.end(id(1, 1)), "report 1b ok settle");
    run.written(1);
    assert_eq!(run.actions(), "over");
}

#[test]
fn a_plugin_that_fails_or_does_not_come_back_ends_a_dependent_job() {
    let mut run = dependent(&THREE, |_| {});
    run.read([1, 2]);
    run.actions();
    for job in [1, 2] {
        run.happens(Event::Answered(id(job, 0), run.calls[&id(job, 0)], "tcp"));
        run.actions();
        run.begun(id(job, 0));
        run.end(id(job, 0));
        run.known(id(job, 0));
    }
    run.happens(Event::Failed(id(1, 1), "no"));
    assert_eq!(run.actions(), "fail 1 no");
    run.now += 61 * SECOND;
    assert_eq!(run.actions(), "give up 2b new thread");
    assert_eq!((run.course.in_flight(), run.course.resting.count()), (0, 0));
    for late in [id(1, 1), id(2, 1)] {
        assert_eq!(run.known(late), "");
    }
    run.happens(Event::Fed);
    assert_eq!(run.actions(), "settle");
}

#[test]
fn a_job_that_goes_on_keeps_to_the_pace_of_its_target() {
    let limits = Limits { address_spacing: Some(SECOND), ..Limits::default() };
    let mut run = Bench::with(&THREE[..2], limits, |rules| rules.depends = true);
    run.read([1]);
    run.actions();
    run.begun(id(1, 0));
    run.end(id(1, 0));
    run.now += 100 * MS;
    assert_eq!(run.known(id(1, 0)), "");
    assert_eq!(run.wake(), SECOND);
    assert_eq!(run.actions(), "[1] 1b");
}
