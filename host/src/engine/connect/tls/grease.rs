//! Encrypted Client Hello that is made up (RFC 9849, section 6.2): the library makes the extension, of
//! random octets and as long as a real one, and asks a suite of HPKE for a key. Nothing is encrypted, so
//! random octets are a key as good as any: each 32 octets are one of X25519's (RFC 7748, section 5).

use ring::rand::{SecureRandom, SystemRandom};
use rustls::Error;
use rustls::client::{EchGreaseConfig, EchMode};
use rustls::crypto::hpke::{
    EncapsulatedSecret, Hpke, HpkeOpener, HpkePrivateKey, HpkePublicKey, HpkeSealer, HpkeSuite,
};
use rustls::internal::msgs::enums::{HpkeAead, HpkeKdf, HpkeKem};
use rustls::internal::msgs::handshake::HpkeSymmetricCipherSuite;

/// Octets of a key of X25519.
const KEY: usize = 32;

/// Offers it with each ClientHello.
pub(super) fn mode() -> EchMode {
    EchMode::Grease(EchGreaseConfig::new(&MadeUp, HpkePublicKey(vec![0; KEY])))
}

/// A suite that seals nothing.
#[derive(Debug)]
struct MadeUp;

/// What the library never asks for where nothing is sealed.
fn refused<T>() -> Result<T, Error> {
    Err(Error::General("nothing is sealed".to_owned()))
}

impl Hpke for MadeUp {
    fn seal(
        &self,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &HpkePublicKey,
    ) -> Result<(EncapsulatedSecret, Vec<u8>), Error> {
        refused()
    }

    fn setup_sealer(
        &self,
        _: &[u8],
        _: &HpkePublicKey,
    ) -> Result<(EncapsulatedSecret, Box<dyn HpkeSealer + 'static>), Error> {
        let mut key = vec![0; KEY];
        SystemRandom::new().fill(&mut key).map_err(|_| Error::FailedToGetRandomBytes)?;
        Ok((EncapsulatedSecret(key), Box::new(MadeUp)))
    }

    fn open(
        &self,
        _: &EncapsulatedSecret,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &HpkePrivateKey,
    ) -> Result<Vec<u8>, Error> {
        refused()
    }

    fn setup_opener(
        &self,
        _: &EncapsulatedSecret,
        _: &[u8],
        _: &HpkePrivateKey,
    ) -> Result<Box<dyn HpkeOpener + 'static>, Error> {
        refused()
    }

    fn generate_key_pair(&self) -> Result<(HpkePublicKey, HpkePrivateKey), Error> {
        refused()
    }

    fn suite(&self) -> HpkeSuite {
        HpkeSuite {
            kem: HpkeKem::DHKEM_X25519_HKDF_SHA256,
            sym: HpkeSymmetricCipherSuite {
                kdf_id: HpkeKdf::HKDF_SHA256,
                aead_id: HpkeAead::AES_128_GCM,
            },
        }
    }
}

impl HpkeSealer for MadeUp {
    fn seal(&mut self, _: &[u8], _: &[u8]) -> Result<Vec<u8>, Error> {
        refused()
    }
}
