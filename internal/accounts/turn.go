package accounts

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"

	"sluice/internal/sale"
)

// A turn is a moment and 16 bytes of an HMAC over it and the account that it was promised
// to: nobody can make one, or use another's.
const turnMAC = 16

// Turn writes down that an account has been promised a turn at that moment.
func (a *Accounts) Turn(account int64, due sale.Instant) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(due))
	return base64.RawURLEncoding.EncodeToString(append(b, turnSum(a.keys[0], account, due)...))
}

// ReadTurn answers the moment that an account was promised; 0 when the word is none of
// ours, or another account's.
func (a *Accounts) ReadTurn(account int64, word string) sale.Instant {
	b, err := base64.RawURLEncoding.DecodeString(word)
	if err != nil || len(b) != 8+turnMAC {
		return 0
	}
	due := sale.Instant(binary.BigEndian.Uint64(b))
	for _, key := range a.keys {
		if subtle.ConstantTimeCompare(b[8:], turnSum(key, account, due)) == 1 {
			return due
		}
	}
	return 0
}

func turnSum(key Key, account int64, due sale.Instant) []byte {
	mac := hmac.New(sha256.New, key.Secret)
	_, _ = mac.Write([]byte("turn")) // no token begins like that
	_, _ = mac.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(account)), uint64(due)))
	return mac.Sum(nil)[:turnMAC]
}
