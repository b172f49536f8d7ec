package accounts

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Bounds of a password in bytes.
const (
	leastPassword = 8
	mostPassword  = 72
)

// atOnce is how many passwords are hashed at a time: with the domain's cost they
// take 38 MiB at most.
const atOnce = 2

// cost is what hashing a password takes.
type cost struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// domainCost is the cost of new hashes. A stored one carries its own, so this can
// be raised at any time.
var domainCost = cost{memory: 19 * 1024, time: 2, threads: 1}

// dearest bounds the cost that a stored hash may ask for: one that asks for more
// is damaged, or somebody's attempt to stop us.
var dearest = cost{memory: 256 * 1024, time: 16, threads: 16}

// hashed is a hash of a password and how it was made.
type hashed struct {
	cost
	salt, key []byte
}

const (
	saltBytes = 16
	keyBytes  = 32
)

// String is h in PHC form, as Postgres keeps it.
func (h hashed) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads,
		b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

var errHash = errors.New("a stored password hash is unreadable")

// parseHash reads what String writes. Its error does not repeat it.
func parseHash(text string) (h hashed, err error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errHash
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil || n != 3 {
		return h, errHash
	}
	if h.time < 1 || h.threads < 1 || h.memory < 8*uint32(h.threads) ||
		h.memory > dearest.memory || h.time > dearest.time || h.threads > dearest.threads {
		return h, errHash
	}
	b64 := base64.RawStdEncoding.Strict()
	var saltErr, keyErr error
	h.salt, saltErr = b64.DecodeString(parts[4])
	h.key, keyErr = b64.DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(h.salt) < 8 || len(h.key) != keyBytes || h.String() != text {
		return h, errHash
	}
	return h, nil
}

// stamp marks a session as begun with this hash, and shows nothing of it.
func stamp(hash string) string {
	sum := sha256.Sum256([]byte(hash))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// hasher hashes passwords, a few at a time.
type hasher struct {
	cost  cost
	slots chan struct{}
	run   func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte
}

func newHasher(c cost) *hasher {
	return &hasher{cost: c, slots: make(chan struct{}, atOnce), run: argon2.IDKey}
}

// Cheapen makes new hashes as cheap as they can be, and as easily guessed: for tests,
// which sign up many under the race detector. Call it before anybody signs up.
func (a *Accounts) Cheapen() {
	a.hasher.cost = cost{memory: 8, time: 1, threads: 1}
}

// slot runs work, which may hash, when it is its turn; or answers why ctx ended
// before that.
func (h *hasher) slot(ctx context.Context, work func() error) error {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
		return work()
	case <-ctx.Done():
		return fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}

// hash answers the PHC form of a new password's hash.
func (h *hasher) hash(ctx context.Context, password string) (text string, err error) {
	err = h.slot(ctx, func() error {
		made := hashed{cost: h.cost, salt: make([]byte, saltBytes)}
		rand.Read(made.salt) // never fails
		made.key = h.key(made, password)
		text = made.String()
		return nil
	})
	return text, err
}

// matches says, from inside a slot, whether password is the one that was hashed.
// For "", when there is none, the answer is no, after as much work.
func (h *hasher) matches(stored, password string) (bool, error) {
	was := hashed{cost: h.cost, salt: make([]byte, saltBytes), key: make([]byte, keyBytes)}
	if stored != "" {
		var err error
		if was, err = parseHash(stored); err != nil {
			return false, err
		}
	}
	key := h.key(was, password)
	return subtle.ConstantTimeCompare(key, was.key) == 1 && stored != "", nil
}

func (h *hasher) key(like hashed, password string) []byte {
	return h.run([]byte(password), like.salt, like.time, like.memory, like.threads, keyBytes)
}
