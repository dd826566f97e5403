//! What recording promises of the ledger: whatever the clock does, and wherever the process dies, every second is accounted for,
//! with one date.

use super::*;
use media::ledger::{Boot, Finding, Slice, Stitched, stitch};

/// Seconds of footage in each run.
const LENGTH: i64 = 40;
const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

/// How many seconds the clock is ahead in a second, if it is set.
type Ahead = dyn Fn(i64) -> Option<i64>;

/// The ledger slices in all sealed recordings, oldest first.
fn slices(camera: &Camera) -> Vec<Slice> {
    let of =
        |path: &Path| Slice::parse_all(&demux::ledger(&std::fs::read(path).expect("read")).expect("sealed"));
    let recordings = camera.status.recordings();
    let slices: Vec<Slice> =
        recordings.iter().flat_map(|recording| of(&recording.path).expect("slices")).collect();
    assert!(slices.iter().all(|slice| slice.verify().is_ok()));
    slices
}

fn stitched(camera: &Camera) -> Stitched {
    stitch(&slices(camera))
}

/// What is not simply footage, and how many GOPs are.
pub(super) fn account(camera: &Camera) -> (Vec<Finding>, usize) {
    (stitched(camera).findings, slices(camera).iter().map(|slice| slice.gops().count()).sum())
}

/// Records while the clock is `ahead` by so many seconds, or not set, in each second.
fn record_with(ahead: impl Fn(i64) -> Option<i64>) -> Camera {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    for second in 1..=LENGTH {
        let wall = ahead(second).map(|ahead| MARK.plus(Ticks90k((second + ahead) * SECOND)));
        camera.encode_at(second, wall);
        recorder.follow().expect("records");
    }
    recorder.finish().expect("seals");
    camera
}

#[test]
fn whatever_the_clock_does_no_second_and_no_name_is_lost_and_all_dates_come_right() {
    let scenarios: [(&str, &Ahead); 7] = [
        ("it is right from the start", &|_| Some(0)),
        ("it comes late", &|second| (second > 20).then_some(0)),
        ("it goes and comes again", &|second| (!(10..30).contains(&second)).then_some(0)),
        ("a year ahead, then right", &|second| Some(if second > 20 { 0 } else { YEAR })),
        ("an hour behind, then right", &|second| Some(if second > 20 { 0 } else { -HOUR })),
        ("none, wrong, right", &|second| (second > 10).then_some(if second > 20 { 0 } else { -18 * HOUR })),
        ("back and forth over midnight", &|second| Some([0, 18 * HOUR, -18 * HOUR, 0][second as usize / 11])),
    ];
    for (scenario, ahead) in scenarios {
        let camera = record_with(ahead);
        let recordings = camera.status.recordings();
        let mut pictures: Vec<i64> = Vec::new();
        for recording in recordings.iter() {
            let bytes = std::fs::read(&recording.path).expect("read");
            let movie = Movie::open(&bytes).expect("movie");
            let anchor = movie.anchor.expect("anchor");
            let second = (anchor.origin.0 / SECOND - 1000) * 1_000_000;
            assert_eq!(
                recording.start.map(|start| start.0 - MARK.0),
                Some(second),
                "{scenario}: {recording:?}"
            );
            let track = movie.track(Track::Video).expect("video");
            pictures.extend(track.samples.iter().map(|sample| (track.pts(sample) + anchor.origin).0));
        }
        assert_eq!(pictures, camera.encoded, "{scenario}: nothing lost, nothing doubled");
        let mut names: Vec<&str> = recordings.iter().map(|recording| recording.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), recordings.len(), "{scenario}: no clash");

        assert_eq!(account(&camera), (vec![], LENGTH as usize), "{scenario}");
        let stitched = stitched(&camera);
        let boot = Boot::of(&clock::boot_id());
        for second in [1, 15, 25, LENGTH] {
            let date = stitched.dates.wall_of(boot, Ticks90k((1000 + second) * SECOND));
            assert_eq!(date, Some(MARK.plus(Ticks90k(second * SECOND))), "{scenario}, second {second}");
        }
    }
}

#[test]
fn gaps_are_in_the_ledger_with_their_causes_and_come_back_after_a_restart_with_their_dates() {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    let at = |second: i64| Ticks90k((1000 + second) * SECOND);
    for second in [1, 2, 3, 10, 11] {
        camera.encode_at(second, None);
    }
    camera.status.gaps.open("front", Cause::CameraGone, at(4), None);
    camera.status.gaps.close("front", Cause::CameraGone, at(10));
    recorder.follow().expect("records");
    assert_eq!(camera.status.gaps.list()[0].start, None);
    camera.encode(12);
    camera.encode(13);
    recorder.finish().expect("seals");
    let date = Some(MARK.plus(Ticks90k(4 * SECOND)));
    assert_eq!(camera.status.gaps.list()[0].start, date, "the clock has come");
    drop(recorder);

    let told: Vec<_> = stitched(&camera)
        .findings
        .into_iter()
        .filter_map(|finding| match finding {
            Finding::Missing { missing, .. } => Some((missing.cause, missing.start, missing.length)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(Some(Cause::CameraGone), date, Some(Ticks90k(6 * SECOND)))]);

    let mut config = config_in(camera.dir.path());
    config.record.minutes = 1;
    camera.status = Arc::new(Status::new(&config, Pulses::default(), at(20)));
    camera.recorder().finish().expect("nothing to do");
    let gaps = camera.status.gaps.list();
    let shown: Vec<_> = gaps.iter().map(|gap| (gap.cause, gap.start, gap.seconds, gap.lasts)).collect();
    // The last picture's duration is that of a frame.
    let since = Some(MARK.plus(Ticks90k(13 * SECOND + 7 * SECOND / 10)));
    let expected = [(Cause::CameraGone, date, Some(6.0), false), (Cause::NoPower, since, None, true)];
    assert_eq!(shown, expected, "and there was no footage since");
}

/// Why footage is missing in the ledger, in its order; nothing else may be found.
fn causes(camera: &Camera) -> Vec<Option<Cause>> {
    let cause = |finding| match finding {
        Finding::Missing { missing, .. } => missing.cause,
        other => panic!("{other:?}"),
    };
    stitched(camera).findings.into_iter().map(cause).collect()
}

#[test]
fn footage_that_never_came_to_the_ring_is_a_gap_too() {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    for second in [1, 2, 3, 7, 8] {
        camera.encode(second);
        recorder.follow().expect("records");
    }
    recorder.finish().expect("seals");
    let gaps = camera.status.gaps.list();
    assert_eq!(gaps.iter().map(|gap| gap.cause).collect::<Vec<_>>(), [Cause::Overload]);
    assert_eq!(causes(&camera), [Some(Cause::Overload)]);
}

#[test]
fn footage_that_never_came_beside_a_gap_that_is_known_has_its_cause_too() {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    for second in [1, 2, 3] {
        camera.encode(second);
        recorder.follow().expect("records");
    }
    // The camera stood still for two seconds of the four.
    let gaps = &camera.status.gaps;
    gaps.open("front", Cause::CameraGone, Ticks90k(1005 * SECOND), None);
    gaps.close("front", Cause::CameraGone, Ticks90k(1007 * SECOND));
    camera.encode(8);
    recorder.follow().expect("records");
    recorder.finish().expect("seals");
    assert_eq!(causes(&camera), [Cause::Overload, Cause::CameraGone, Cause::Overload].map(Some));
}

#[test]
fn without_gops_the_recording_is_sealed_and_what_comes_then_leaves_by_the_hour() {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    camera.encode(1);
    camera.encode(2);
    recorder.follow().expect("records");
    recorder.taken -= Ticks90k(60 * SECOND);
    recorder.follow().expect("seals");
    assert_eq!(camera.status.recordings()[0].state, RecordingState::Sealed);
    assert_eq!(recorder.inputs.store.ledger_files(), []);
    // The next hour begins, and the last one had news.
    let (from, to) = (Ticks90k(1003 * SECOND), Ticks90k((1003 + HOUR) * SECOND));
    recorder.news.push(Entry::Gap { cause: Cause::CameraGone, from, to });
    recorder.hour = recorder.hour.map(|hour| hour - 1);
    recorder.follow().expect("tells");
    assert_eq!(recorder.inputs.store.ledger_files().len(), 1);
    recorder.follow().expect("has told");
    assert_eq!(recorder.inputs.store.ledger_files().len(), 1);
}

#[test]
fn a_process_that_is_killed_anywhere_leaves_one_chain() {
    let mut camera = Camera::new(600);
    for killed_after in [3, 1, 4, 2] {
        let mut recorder = camera.recorder();
        for _ in 0..killed_after {
            camera.encode(camera.encoded.len() as i64 / 3 + 1);
            recorder.follow().expect("records");
        }
    }
    camera.recorder().finish().expect("seals");
    assert_eq!(account(&camera), (vec![], 10));
}

#[test]
fn a_crash_between_the_seal_and_the_end_of_the_ledger_is_made_good() {
    let mut camera = Camera::new(600);
    let mut recorder = camera.recorder();
    camera.encode(1);
    recorder.follow().expect("begins");
    let id = recorder.inputs.store.camera_id("front").expect("id");
    let end = camera.folder().join(format!("{id}.ledger"));
    let mut before = Vec::new();
    for second in 2..6 {
        camera.encode(second);
        recorder.follow().expect("records");
        before = std::fs::read(&end).expect("there");
    }
    recorder.finish().expect("seals");
    let name = camera.status.recordings()[0].name.clone();
    drop(recorder);
    // As if the process had died right behind the seal: neither the end of the ledger nor the journal has moved.
    std::fs::write(&end, before).expect("written");
    let journal = camera.folder().join(format!("{name}.mp4.journal"));
    let text = std::fs::read_to_string(&journal).expect("there").replace("\"sealed\"", "\"growing\"");
    std::fs::write(&journal, text).expect("written");
    camera.encode(6);
    let mut recorder = camera.recorder();
    recorder.finish().expect("seals");
    assert_eq!(account(&camera), (vec![], 6));
}
