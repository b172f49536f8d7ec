package accounts

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"
)

// verifier reads the tokens that this program signs, letter by letter, which takes a
// tenth of what a reader of any token takes: each request has one. It knows one way to
// write a token, ours, and answers only what is good beyond doubt. All else, whether bad
// or only written in another way, is left to the parser, which has the last word.
type verifier struct {
	id     string
	header string    // the first part of every token that we sign with this key
	sums   sync.Pool // of *sum
}

// sum is an HMAC with the key, and room for what goes through it.
type sum struct {
	mac  hash.Hash
	room []byte
}

func newVerifiers(keys []Key) []*verifier {
	all := make([]*verifier, len(keys))
	for i, key := range keys {
		header, _ := json.Marshal(map[string]any{"alg": "HS256", "kid": key.ID, "typ": "JWT"}) // of strings: it cannot fail
		v := &verifier{id: key.ID, header: base64.RawURLEncoding.EncodeToString(header)}
		v.sums.New = func() any { return &sum{mac: hmac.New(sha256.New, key.Secret), room: make([]byte, 0, 512)} }
		all[i] = v
	}
	return all
}

// verify answers who a token of ours speaks for at now; false when that is for the
// parser to say.
func verify(verifiers []*verifier, token string, now time.Time) (who Who, ok bool) {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for _, v := range verifiers {
		if v.header == header {
			return v.read(token[:len(header)+1+len(payload)], payload, signature, now)
		}
	}
	return who, false
}

// read is verify of the parts of a token.
func (v *verifier) read(signed, payload, signature string, now time.Time) (who Who, ok bool) {
	s := v.sums.Get().(*sum)
	defer v.sums.Put(s)
	s.mac.Reset()
	s.room = append(s.room[:0], signed...)
	_, _ = s.mac.Write(s.room) // a hash never fails
	s.room = s.mac.Sum(s.room[:0])
	s.room = append(s.room, signature...)
	mac, given := s.room[:sha256.Size], s.room[sha256.Size:]
	var got [sha256.Size + 3]byte // what a decoder may touch
	if len(given) != base64.RawURLEncoding.EncodedLen(sha256.Size) {
		return who, false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(got[:], given)
	if err != nil || n != sha256.Size || subtle.ConstantTimeCompare(mac, got[:n]) != 1 {
		return who, false
	}
	s.room = append(s.room[:0], payload...)
	claims, err := base64.RawURLEncoding.Strict().AppendDecode(s.room[len(payload):], s.room)
	if err != nil {
		return who, false
	}
	return readClaims(string(claims), now)
}

// readClaims reads what sign writes:
//
//	{"role":"buyer","sid":"…","iss":"sluice","sub":"7","exp":1700000900,"iat":1700000000}
//
// without sid in a token that comes from no session.
func readClaims(text string, now time.Time) (who Who, ok bool) {
	ok = true
	next := func(before, after string) (word string) {
		rest, is := strings.CutPrefix(text, before)
		word, left, found := strings.Cut(rest, after)
		text, ok = left, ok && is && found
		return word
	}
	role := next(`{"role":"`, `",`)
	if strings.HasPrefix(text, `"sid"`) {
		who.Session = next(`"sid":"`, `",`)
		ok = ok && who.Session != "" && plain(who.Session)
	}
	account := next(`"iss":"`+issuer+`","sub":"`, `",`)
	ends := next(`"exp":`, `,`)
	began := next(`"iat":`, `}`)
	switch Role(role) {
	case Buyer:
		who.Role = Buyer
	case Seller:
		who.Role = Seller
	case Admin:
		who.Role = Admin
	default:
		return Who{}, false
	}
	seconds := int64(0)
	for _, number := range []struct {
		word string
		into *int64
	}{{account, &who.Account}, {ends, &seconds}, {began, new(int64)}} {
		if number.word == "" || len(number.word) > 18 || number.word[0] == '0' {
			return Who{}, false
		}
		n, err := strconv.ParseUint(number.word, 10, 63)
		if err != nil {
			return Who{}, false
		}
		*number.into = int64(n)
	}
	who.Expires = time.Unix(seconds, 0).UTC()
	if !ok || text != "" || seconds > farOff || !now.Before(who.Expires) {
		return Who{}, false
	}
	return who, true
}

// farOff bounds the seconds that are read here: the parser goes through a float.
const farOff = 1 << 40

// plain says whether a JSON string stands for itself, letter by letter.
func plain(word string) bool {
	for i := range len(word) {
		if c := word[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
