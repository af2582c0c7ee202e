// Package h235 has the security of H.323: the tokens of H.235.0 as ASN.1
// types, the keyed hash that proves a password (H.235.1), and the media
// encryption of H.235.6: Diffie-Hellman in the tokens of call signalling, media
// keys under the secret it gives, and AES in CBC mode on RTP payloads.
package h235
