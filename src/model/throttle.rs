//! How many requests one endpoint gets at once: as many as are sent, until it says that it is too
//! much.
//!
//! Data in: requests that begin and how they end. Data out: permits. Invariants: a refusal halves
//! the window once for all requests that were under way with it; each good answer widens it by one
//! part of itself; it is never under one, so something is always under way; whoever sends decides how
//! many wait here, so there are never more than that.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The window of one endpoint.
#[derive(Default)]
pub(super) struct Throttle {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Default)]
struct State {
    in_flight: usize,
    /// `None` until something was refused.
    window: Option<f64>,
    /// Refusals heeded so far.
    refusals: u64,
}

/// The right to have one request under way; gives itself back.
pub(super) struct Permit {
    throttle: Arc<Throttle>,
    refusals: u64,
}

impl Throttle {
    /// Waits until the window has room. Ends because every request under way is bounded itself.
    pub(super) async fn permit(self: &Arc<Self>) -> Permit {
        loop {
            let freed = self.freed.notified();
            if let Some(permit) = self.try_permit() {
                return permit;
            }
            freed.await;
        }
    }

    fn try_permit(self: &Arc<Self>) -> Option<Permit> {
        let mut state = self.lock();
        let room = state
            .window
            .is_none_or(|window| (state.in_flight as f64) < window.floor().max(1.0));
        room.then(|| {
            state.in_flight += 1;
            Permit {
                throttle: Arc::clone(self),
                refusals: state.refusals,
            }
        })
    }

    /// Requests allowed at once; `None` where nothing was refused yet.
    #[cfg(test)]
    pub(super) fn window(&self) -> Option<f64> {
        self.lock().window
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The endpoint refused or did not answer in time.
    pub(super) fn refused(&self) {
        let mut state = self.throttle.lock();
        if self.refusals == state.refusals {
            let at_once = state.in_flight as f64;
            let window = state.window.map_or(at_once, |window| window.min(at_once));
            state.window = Some((window / 2.0).max(1.0));
            state.refusals += 1;
        }
    }

    /// The endpoint answered.
    pub(super) fn answered(&self) {
        let mut state = self.throttle.lock();
        if let Some(window) = &mut state.window {
            *window += 1.0 / *window;
        }
        drop(state);
        self.throttle.freed.notify_one();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.throttle.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.throttle.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_refusals_halves_once_and_answers_widen_by_one_a_round() {
        let throttle = Arc::new(Throttle::default());
        let burst: Vec<Permit> = (0..8).map(|_| throttle.try_permit().unwrap()).collect();
        assert_eq!(throttle.window(), None);
        for permit in &burst {
            permit.refused();
        }
        assert_eq!(throttle.window(), Some(4.0));
        drop(burst);
        let round: Vec<Permit> = (0..4).map(|_| throttle.try_permit().unwrap()).collect();
        assert!(throttle.try_permit().is_none(), "the window is full");
        for permit in &round {
            permit.answered();
        }
        let window = throttle.window().unwrap();
        assert!((4.8..=5.0).contains(&window), "{window}");
        drop(round);
        for _ in 0..10 {
            throttle.try_permit().unwrap().refused();
        }
        assert_eq!(
            throttle.window(),
            Some(1.0),
            "something is always under way"
        );
    }

    #[tokio::test]
    async fn who_waits_is_let_in_when_another_is_done() {
        let throttle = Arc::new(Throttle::default());
        let first = throttle.permit().await;
        first.refused();
        let waiting = {
            let throttle = Arc::clone(&throttle);
            tokio::spawn(async move { drop(throttle.permit().await) })
        };
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        tokio::time::timeout(std::time::Duration::from_secs(5), waiting)
            .await
            .unwrap()
            .unwrap();
    }
}
