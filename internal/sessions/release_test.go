package sessions

import (
	"maps"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A session as release 5bfd087 began it with a token of the bytes 0 to 15 and 100 to
// 131: what the client holds, how it is called, what Redis has.
const (
	releasedToken = "AAECAwQFBgcICQoLDA0OD2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn-AgYKD"
	releasedName  = "vkXLJgW_Nr695oSEGijw_Q"
)

func released() map[string]string {
	return map[string]string{
		"account": "7", "role": "buyer", "stamp": "spring",
		"secret": "\xe3\xe1g\x80\xbe\xcf`\x1dU\xe4u\x1e}r.\xf9\x1du\v\xb0\xce\xa6\x1b\x1b\xb5\xea\x8b\xc3\b\xcd\xf2b",
	}
}

// TestSessionOfTheLastRelease goes on, also with what a release to come has added.
func TestSessionOfTheLastRelease(t *testing.T) {
	eachServer(t, func(f *fixture) {
		f.must(f.raw.HSet(f.ctx, "sluice:session:"+releasedName, released()).Err())
		f.must(f.raw.HSet(f.ctx, "sluice:session:"+releasedName, "device", "a phone").Err())
		f.must(f.raw.ZAdd(f.ctx, "sluice:sessions:7", redis.Z{Score: 4102444800000, Member: releasedName}).Err())
		of, err := f.Find(f.ctx, releasedToken)
		if err != nil || of != alice {
			t.Errorf("it is of %+v, %v", of, err)
		}
		next := f.rotate(f.rotate(releasedToken, alice), alice)
		if device := f.raw.HGet(f.ctx, "sluice:session:"+releasedName, "device").Val(); device != "a phone" {
			t.Errorf("what is not known has become %q", device)
		}
		if all := f.raw.ZRange(f.ctx, "sluice:sessions:7", 0, -1).Val(); !slices.Equal(all, []string{releasedName}) {
			t.Errorf("the account has the sessions %q", all)
		}
		f.must(f.EndAll(f.ctx, 7))
		f.over(next)
	})
}

// TestSessionForTheLastRelease: it finds what it would have written itself.
func TestSessionForTheLastRelease(t *testing.T) {
	eachServer(t, func(f *fixture) {
		token, ok := parseToken(releasedToken)
		if !ok || token.name() != releasedName || token.encode() != releasedToken {
			t.Fatalf("the token is %t, called %s", ok, token.name())
		}
		_, err := f.run(f.ctx, "start", []string{f.sessionKey(bucketOf(alice.Account), token.name()), f.sessionsKey(alice.Account)},
			token.name(), alice.Account, alice.Role, alice.Stamp, token.sum(), Life.Milliseconds(), most)
		f.must(err)
		if got := f.raw.HGetAll(f.ctx, "sluice:session:"+releasedName).Val(); !maps.Equal(got, released()) {
			t.Errorf("it is written as %q", got)
		}
		if all := f.raw.ZRange(f.ctx, "sluice:sessions:7", 0, -1).Val(); !slices.Equal(all, []string{releasedName}) {
			t.Errorf("the account has the sessions %q", all)
		}
	})
}
