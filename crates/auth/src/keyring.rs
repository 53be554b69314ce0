//! The keys that callers may sign with: the documented default, those of the configuration, and those of functions.

use crate::{
    Refusal, Secret,
    sigv4::signing_key::{HmacSha256, SigningKeys},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use durastack_clock::Timestamp;
use durastack_names::{AccountId, FunctionName, Region};
use hmac::{KeyInit, Mac};
use std::{borrow::Cow, collections::BTreeMap};
use subtle::ConstantTimeEq;

/// The id and the secret of the key that works out of the box, for account `000000000000`.
const DEFAULT_KEY: &str = "test";

/// How many characters a session token of a function may have: names are bounded, so a longer one is not ours.
const FUNCTION_TOKEN_MAX: usize = 512;

/// The first byte of a function's session token: the version of its form.
const FUNCTION_TOKEN_VERSION: u8 = 1;

/// Bytes of the authentication code in a function's session token.
const FUNCTION_TOKEN_MAC: usize = 16;

/// A key a caller may sign with, as the configuration names it.
#[derive(Debug, Clone)]
pub struct Key {
    /// The access key id, sent in the clear.
    pub id: String,
    /// The secret access key.
    pub secret: Secret,
    /// The session token that must come with every request, for temporary keys.
    pub token: Option<Secret>,
    /// The last moment at which `token` counts; absent for ever.
    pub expires: Option<Timestamp>,
    /// Whose resources the key reaches.
    pub account: AccountId,
}

/// What a function's process signs with.
#[derive(Debug, Clone)]
pub struct FunctionKey {
    /// `ASIA` and 16 of `[A-Z2-7]`.
    pub access_key_id: String,
    /// 40 characters of base64.
    pub secret: Secret,
    /// `[A-Za-z0-9_-]+`, at most 512 characters.
    pub session_token: Secret,
}

/// All keys that count, and the signing keys derived from them so far.
pub struct Keyring {
    folder: HmacSha256,
    extra: BTreeMap<String, Key>,
    pub(crate) signing_keys: SigningKeys,
}

/// Who holds a key. The secret is made only when it is needed.
pub(crate) struct Holder<'k> {
    pub(crate) account: AccountId,
    pub(crate) function: Option<FunctionName>,
    secret: SecretOf<'k>,
}

/// A session token that does not go with its key.
pub(crate) enum BadToken {
    /// The key is temporary and no token came.
    Missing,
    /// It is another key's, or the key has none.
    Foreign,
    /// Its last moment was then.
    Expired(Timestamp),
}

enum SecretOf<'k> {
    Default,
    Key(&'k Secret),
    Function { owner: String },
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("extra", &self.extra).finish_non_exhaustive()
    }
}

impl Keyring {
    /// `folder_secret` is kept in the data folder: the keys of functions are derived from it, so they survive a restart.
    /// `extra` are the keys of the configuration; one of them may take the id of a built-in key.
    ///
    /// Built in are `test` with the secret `test` for account `000000000000`, and every id of twelve digits with the
    /// secret `test` for the account of that number.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "HMAC takes keys of every length")]
    pub fn new(folder_secret: [u8; 32], extra: Vec<Key>) -> Self {
        Self {
            folder: HmacSha256::new_from_slice(&folder_secret)
                .expect("HMAC takes keys of every length"),
            extra: extra.into_iter().map(|key| (key.id.clone(), key)).collect(),
            signing_keys: SigningKeys::default(),
        }
    }

    /// The key for the processes of a function. The same arguments give the same key, also after a restart with the
    /// same folder secret; nothing is remembered, the token carries what verification needs.
    #[must_use]
    pub fn for_function(
        &self,
        account: &AccountId,
        region: &Region,
        function: &FunctionName,
    ) -> FunctionKey {
        let owner = format!("{account}/{region}/{function}");
        let mut token = vec![FUNCTION_TOKEN_VERSION];
        token.extend_from_slice(&self.derive("token", &owner)[..FUNCTION_TOKEN_MAC]);
        token.extend_from_slice(owner.as_bytes());
        FunctionKey {
            access_key_id: self.function_key_id(&owner),
            secret: Secret::new(self.function_secret(&owner)),
            session_token: Secret::new(URL_SAFE_NO_PAD.encode(token)),
        }
    }

    /// Whose key `id` says it is, and of which function, where nothing is verified: a server without authentication
    /// still has to know whose resources are meant. Absent for a key that nobody holds.
    #[must_use]
    pub fn claimed_owner(
        &self,
        id: &str,
        token: Option<&[u8]>,
    ) -> Option<(AccountId, Option<FunctionName>)> {
        if let Some(key) = self.extra.get(id) {
            return Some((key.account.clone(), None));
        }
        if let Some(account) = built_in_account(id) {
            return Some((account, None));
        }
        let holder = self.function_holder(id, token?)?;
        Some((holder.account, holder.function))
    }

    /// Finds who holds the key `id`, given the session token that came with it.
    pub(crate) fn holder(
        &self,
        id: &str,
        token: Option<&[u8]>,
        wall: Timestamp,
    ) -> Result<Holder<'_>, Refusal> {
        let access_key_id = || id.to_owned();
        let Some(holder) = self.find(id, token) else {
            return Err(match token {
                Some(_) if id.starts_with("ASIA") => {
                    Refusal::ForeignToken { access_key_id: access_key_id() }
                }
                _ => Refusal::UnknownKey { access_key_id: access_key_id() },
            });
        };
        match self.check_token(id, token, wall) {
            Ok(()) => Ok(holder),
            Err(BadToken::Missing) => Err(Refusal::MissingToken { access_key_id: access_key_id() }),
            Err(BadToken::Foreign) => Err(Refusal::ForeignToken { access_key_id: access_key_id() }),
            Err(BadToken::Expired(expired)) => {
                Err(Refusal::ExpiredToken { access_key_id: access_key_id(), expired })
            }
        }
    }

    /// Finds who holds the key `id`. The token only says which function's key it is, where it is one: whether it is the
    /// key's own is for [`Keyring::check_token`].
    pub(crate) fn find(&self, id: &str, token: Option<&[u8]>) -> Option<Holder<'_>> {
        if let Some(key) = self.extra.get(id) {
            let (account, secret) = (key.account.clone(), SecretOf::Key(&key.secret));
            return Some(Holder { account, function: None, secret });
        }
        if let Some(account) = built_in_account(id) {
            return Some(Holder { account, function: None, secret: SecretOf::Default });
        }
        self.function_holder(id, token?)
    }

    /// Whether `token` is what a key that was found must come with.
    pub(crate) fn check_token(
        &self,
        id: &str,
        token: Option<&[u8]>,
        wall: Timestamp,
    ) -> Result<(), BadToken> {
        let Some(key) = self.extra.get(id) else {
            // A function's key is found by its token alone, so there it was the right one.
            let foreign = token.is_some() && built_in_account(id).is_some();
            return if foreign { Err(BadToken::Foreign) } else { Ok(()) };
        };
        match (&key.token, token) {
            (None, None) => {}
            (Some(_), None) => return Err(BadToken::Missing),
            (Some(own), Some(given)) if own.equals(given) => {}
            (_, Some(_)) => return Err(BadToken::Foreign),
        }
        match key.expires {
            Some(expires) if wall > expires => Err(BadToken::Expired(expires)),
            _ => Ok(()),
        }
    }

    /// The secret access key of a holder that this keyring gave out.
    pub(crate) fn secret_of<'h>(&self, holder: &'h Holder<'_>) -> Cow<'h, str> {
        match &holder.secret {
            SecretOf::Default => DEFAULT_KEY.into(),
            SecretOf::Key(secret) => secret.expose().into(),
            SecretOf::Function { owner } => self.function_secret(owner).into(),
        }
    }

    fn function_holder(&self, id: &str, token: &[u8]) -> Option<Holder<'static>> {
        if token.len() > FUNCTION_TOKEN_MAX {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (version, rest) = token.split_first()?;
        let (mac, owner) = rest.split_at_checked(FUNCTION_TOKEN_MAC)?;
        let owner = std::str::from_utf8(owner).ok()?;
        let genuine = self.derive("token", owner)[..FUNCTION_TOKEN_MAC].ct_eq(mac);
        if *version != FUNCTION_TOKEN_VERSION
            || !bool::from(genuine)
            || self.function_key_id(owner) != id
        {
            return None;
        }
        let mut parts = owner.split('/');
        let (account, _region, function) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Holder {
            account: account.parse().ok()?,
            function: Some(function.parse().ok()?),
            secret: SecretOf::Function { owner: owner.to_owned() },
        })
    }

    fn function_key_id(&self, owner: &str) -> String {
        let mut id = String::with_capacity(20);
        id.push_str("ASIA");
        // Sixteen times five bits; every byte below gives one character, so bits are wasted rather than packed.
        for byte in &self.derive("id", owner)[..16] {
            id.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(byte & 31)]));
        }
        id
    }

    fn function_secret(&self, owner: &str) -> String {
        STANDARD_NO_PAD.encode(&self.derive("secret", owner)[..30])
    }

    fn derive(&self, purpose: &str, owner: &str) -> [u8; 32] {
        let mut mac = self.folder.clone();
        mac.update(b"durastack function key\0");
        mac.update(purpose.as_bytes());
        mac.update(b"\0");
        mac.update(owner.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

fn built_in_account(id: &str) -> Option<AccountId> {
    if id == DEFAULT_KEY {
        Some(AccountId::local())
    } else if id.len() == 12 {
        id.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_323_045_000);

    fn keyring(secret: u8, extra: Vec<Key>) -> Keyring {
        Keyring::new([secret; 32], extra)
    }

    fn function_key(keyring: &Keyring, function: &str) -> FunctionKey {
        let account = "123456789012".parse().unwrap();
        keyring.for_function(&account, &Region::us_east_1(), &function.parse().unwrap())
    }

    fn check(keyring: &Keyring, id: &str, token: Option<&str>) -> Result<String, Refusal> {
        let holder = keyring.holder(id, token.map(str::as_bytes), NOW)?;
        let function = holder.function.as_ref().map_or("-", FunctionName::as_str);
        Ok(format!("{} {} {}", holder.account, function, keyring.secret_of(&holder)))
    }

    #[test]
    fn the_default_keys_and_their_accounts() {
        let keyring = keyring(1, vec![]);
        assert_eq!(check(&keyring, "test", None).unwrap(), "000000000000 - test");
        assert_eq!(check(&keyring, "123456789012", None).unwrap(), "123456789012 - test");
        for id in
            ["", "Test", "12345678901", "1234567890123", "12345678901a", "AKIDEXAMPLE", "ASIAX"]
        {
            assert!(matches!(check(&keyring, id, None), Err(Refusal::UnknownKey { .. })), "{id}");
        }
        for id in ["test", "123456789012"] {
            assert!(
                matches!(check(&keyring, id, Some("x")), Err(Refusal::ForeignToken { .. })),
                "{id}"
            );
        }
    }

    #[test]
    fn a_configured_key_goes_before_a_built_in_one() {
        let own = Key {
            id: "test".into(),
            secret: Secret::new("mine"),
            token: None,
            expires: None,
            account: "42".parse().unwrap(),
        };
        assert_eq!(check(&keyring(1, vec![own]), "test", None).unwrap(), "42 - mine");
    }

    #[test]
    fn a_function_key_is_derived_and_carries_its_owner() {
        let keyring = keyring(1, vec![]);
        let key = function_key(&keyring, "order-flow");
        assert_eq!((key.access_key_id.len(), key.secret.expose().len()), (20, 40));
        let token = key.session_token.expose();
        let found = check(&keyring, &key.access_key_id, Some(token)).unwrap();
        assert_eq!(found, format!("123456789012 order-flow {}", key.secret.expose()));

        let owner = keyring.claimed_owner(&key.access_key_id, Some(token.as_bytes())).unwrap();
        assert_eq!((owner.0.as_str(), owner.1.unwrap().as_str()), ("123456789012", "order-flow"));
        assert_eq!(keyring.claimed_owner(&key.access_key_id, None), None);
        assert_eq!(keyring.claimed_owner("nobody", None), None);

        let again = function_key(&self::keyring(1, vec![]), "order-flow");
        assert_eq!(again.access_key_id, key.access_key_id);
        assert_eq!(again.secret.expose(), key.secret.expose());
        assert_eq!(again.session_token.expose(), token);
        assert_ne!(function_key(&keyring, "other").access_key_id, key.access_key_id);
    }

    #[test]
    fn a_function_key_needs_its_own_token_of_this_folder() {
        let keyring = keyring(1, vec![]);
        let key = function_key(&keyring, "order-flow");
        let id = key.access_key_id.as_str();
        assert!(matches!(check(&keyring, id, None), Err(Refusal::UnknownKey { .. })));
        let other_folder = function_key(&self::keyring(2, vec![]), "order-flow");
        let other_function = function_key(&keyring, "other");
        let mut altered = key.session_token.expose().to_owned();
        altered.pop();
        let long = "A".repeat(2_000_000);
        for token in [
            "",
            "AQ",
            "!",
            &altered,
            &long,
            other_folder.session_token.expose(),
            other_function.session_token.expose(),
        ] {
            let refusal = check(&keyring, id, Some(token)).unwrap_err();
            assert!(matches!(refusal, Refusal::ForeignToken { .. }), "{refusal:?}");
        }
    }
}
