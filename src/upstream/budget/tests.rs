//! The bucket in virtual time.

use proptest::prelude::*;

use super::*;

const HEALTHY: Duration = Duration::from_secs(5);

fn ready(budget: &mut Budget) -> Vec<Place> {
    std::iter::from_fn(|| budget.poll_output()).collect()
}

fn ask(budget: &mut Budget, class: Class, count: usize, now: Instant) -> Vec<Place> {
    (0..count).map(|_| budget.handle_request(class, now)).collect()
}

#[test]
fn a_burst_goes_at_once_and_the_rest_at_the_rate_in_order() {
    let start = crate::clock::now();
    let mut budget = Budget::new(20, 8, HEALTHY, start);
    let places = ask(&mut budget, Class::Reconnect, 10, start);
    assert_eq!(ready(&mut budget), places[..8]);
    let next = budget.poll_timeout().unwrap();
    assert_eq!(next, start + Duration::from_millis(50));
    budget.handle_timeout(next);
    assert_eq!(ready(&mut budget), places[8..9]);
    budget.handle_withdrawn(places[9]);
    assert_eq!(budget.poll_timeout(), None);
}

#[test]
fn a_quarter_is_kept_for_links_that_have_been_live() {
    let start = crate::clock::now();
    let mut budget = Budget::new(1, 8, HEALTHY, start);
    let new = ask(&mut budget, Class::New, 7, start);
    assert_eq!(ready(&mut budget), new[..6]);
    let again = ask(&mut budget, Class::Reconnect, 3, start);
    assert_eq!(ready(&mut budget), again[..2]);
    budget.handle_timeout(start + Duration::from_secs(1));
    assert_eq!(ready(&mut budget), again[2..], "who was live comes before who was not");
    budget.handle_timeout(start + Duration::from_secs(4));
    assert_eq!(ready(&mut budget), new[6..]);
}

#[test]
fn a_healthy_connection_gives_its_token_back_and_a_flapping_one_does_not() {
    let start = crate::clock::now();
    let mut budget = Budget::new(1, 4, HEALTHY, start);
    ask(&mut budget, Class::Reconnect, 4, start);
    let lives: Vec<Life> = (0..3).map(|_| budget.handle_opened(start)).collect();
    ready(&mut budget);
    let waiting = ask(&mut budget, Class::Reconnect, 2, start);
    budget.handle_closed(lives[0], false, start);
    assert_eq!(ready(&mut budget), [], "it died young");
    budget.handle_closed(lives[1], true, start);
    assert_eq!(ready(&mut budget), waiting[..1], "it was heard out");
    let mut slow = Budget::new(1, 1, HEALTHY, start);
    ask(&mut slow, Class::Reconnect, 1, start);
    let life = slow.handle_opened(start);
    slow.handle_timeout(start + HEALTHY);
    slow.handle_closed(life, true, start + HEALTHY);
    ready(&mut slow);
    assert_eq!(ask(&mut slow, Class::Reconnect, 2, start + HEALTHY).len(), 2);
    assert_eq!(ready(&mut slow).len(), 1, "a token comes back once");
}

proptest! {
    #[test]
    fn unhealthy_connects_stay_within_burst_and_rate_and_all_are_served(
        rate in 1_u32..50,
        burst in 1_u32..60,
        waits in prop::collection::vec((0_u64..400, any::<bool>()), 1..150),
    ) {
        let start = crate::clock::now();
        let (mut now, mut budget) = (start, Budget::new(rate, burst, HEALTHY, start));
        let (mut asked, mut served) = (0, 0_u32);
        for (wait, live) in waits {
            now += Duration::from_millis(wait);
            budget.handle_timeout(now);
            budget.handle_request(if live { Class::Reconnect } else { Class::New }, now);
            asked += 1;
            for _ in ready(&mut budget) {
                served += 1;
                let life = budget.handle_opened(now);
                budget.handle_closed(life, false, now);
            }
            let allowed = f64::from(burst) + f64::from(rate) * (now - start).as_secs_f64();
            prop_assert!(f64::from(served) <= allowed + 0.001, "{} of {}", served, allowed);
        }
        while let Some(due) = budget.poll_timeout() {
            budget.handle_timeout(due);
            served += u32::try_from(ready(&mut budget).len()).unwrap();
        }
        prop_assert_eq!(served, asked);
    }
}
