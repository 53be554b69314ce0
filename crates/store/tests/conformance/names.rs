//! Names, of which one execution can have each.

use crate::{append, id, record};
use durastack_store::{Batch, Claim, Conflict, Release, Store, StoreError};

fn claim(scope: &str, name: &str, n: u8) -> Claim {
    let (scope, name) = (scope.to_owned(), name.to_owned());
    Claim { scope, name, execution: id(n), input_hash: [n; 32] }
}

fn claims(claims: &[Claim]) -> Batch {
    Batch { claims: claims.to_vec(), ..Batch::default() }
}

fn release(scope: &str, name: &str, n: u8) -> Release {
    Release { scope: scope.to_owned(), name: name.to_owned(), execution: id(n) }
}

pub(crate) async fn the_first_claim_wins(store: &dyn Store) {
    assert_eq!(store.claimed("s", "n").await.unwrap(), None);
    store.commit(claims(&[claim("s", "n", 1), claim("t", "n", 2)])).await.unwrap();
    for n in [1, 3] {
        // A start that comes too late learns who has the name, whatever else it got wrong.
        let mut start = append(id(1), 7, &[record(None, "a")]);
        start.claims.push(claim("s", "n", n));
        let refused = store.commit(start).await;
        let Err(StoreError::Conflict(conflict)) = refused else { panic!("{refused:?}") };
        let (scope, name) = ("s".to_owned(), "n".to_owned());
        let taken = Conflict::Name { scope, name, owner: id(1), input_hash: [1; 32] };
        assert_eq!(conflict, taken);
    }
    assert_eq!(store.claimed("s", "n").await.unwrap(), Some(claim("s", "n", 1)));
    assert_eq!(store.claimed("t", "n").await.unwrap(), Some(claim("t", "n", 2)));
    let twice = store.commit(claims(&[claim("s", "m", 1), claim("s", "m", 2)])).await;
    assert!(matches!(twice, Err(StoreError::Invalid(_))), "{twice:?}");
}

pub(crate) async fn a_release_frees_what_its_owner_held(store: &dyn Store) {
    store.commit(claims(&[claim("s", "n", 1)])).await.unwrap();
    let batch = Batch { releases: vec![release("s", "n", 2)], ..Batch::default() };
    store.commit(batch).await.unwrap();
    assert_eq!(store.claimed("s", "n").await.unwrap(), Some(claim("s", "n", 1)));

    let hand_over = |from| Batch {
        releases: vec![release("s", "n", from)],
        claims: vec![claim("s", "n", 2)],
        ..Batch::default()
    };
    let refused = store.commit(hand_over(3)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(Conflict::Name { .. }))), "{refused:?}");
    store.commit(hand_over(1)).await.unwrap();
    assert_eq!(store.claimed("s", "n").await.unwrap(), Some(claim("s", "n", 2)));
}
