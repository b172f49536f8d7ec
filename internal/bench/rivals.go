package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Rival is a contender of internal/bench/rivals, with a database of its own in which the
// books of one sale are. A limit has none.
type Rival struct {
	*Program
	Tokens []string // of its buyers
	name   string
	url    string // of its database
	house  *house
}

// books are what a rival is prepared with.
type books struct {
	stock  int64
	buyers int
}

// Rival starts one. keys are those of the tokens; b is nil for one that stores nothing.
func (s *Stage) Rival(ctx context.Context, name, keys string, b *books) (*Rival, error) {
	r := &Rival{name: name, house: s.house}
	env := []string{"SLUICE_JWT_KEYS=" + keys}
	if b != nil {
		var err error
		if r.url, err = s.Database(ctx); err != nil {
			return nil, err
		}
		if _, err := r.rivals(ctx, "setup", "--stock", fmt.Sprint(b.stock), "--buyers", strconv.Itoa(b.buyers), "--balance", strconv.FormatInt(balance, 10)); err != nil {
			return nil, err
		}
		if r.Tokens, err = tokensFor(keys, b.buyers); err != nil {
			return nil, err
		}
		env = append(env, "SLUICE_REDIS_URL="+s.RedisURL, "SLUICE_POSTGRES_URL="+r.url)
	}
	var err error
	r.Program, err = s.Start(ctx, name, Command{Args: []string{s.house.Rivals, name, "--listen", "127.0.0.1:0"}, Env: env})
	return r, err
}

// alone is a side whose process stands still but in its rounds: some have much to do
// while there is nothing to do.
func (r *Rival) alone(side Side) Side {
	r.Pause()
	round := side.Round
	side.Round = func(ctx context.Context, length time.Duration) (Round, error) {
		r.Resume()
		defer r.Pause()
		return round(ctx, length)
	}
	return side
}

// rivals runs one of the commands that are not contenders.
func (r *Rival) rivals(ctx context.Context, args ...string) ([]byte, error) {
	var complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, r.house.Rivals, args...)
	cmd.Env, cmd.Stderr = append(plainEnv(), "SLUICE_POSTGRES_URL="+r.url), &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("rivals %s: %w: %s", args[0], err, bytes.TrimSpace(complaints.Bytes()))
	}
	return out, nil
}

// finding is what `rivals check` says.
type finding struct {
	Sold     int64 `json:"sold"`
	Stock    int64 `json:"stock"`
	Oversold int64 `json:"oversold"`
	Entries  int64 `json:"entries"`
	Receipts int64 `json:"receipts"`
	PointsOK bool  `json:"points_ok"`
}

// Check reads a rival's books. That points do not add up is an error.
func (r *Rival) Check(ctx context.Context) (f finding, err error) {
	out, err := r.rivals(ctx, "check")
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(out, &f); err != nil {
		return f, fmt.Errorf("rivals check says %q: %w", out, err)
	}
	if !f.PointsOK {
		return f, fmt.Errorf("the points of %s do not add up: %s", r.name, bytes.TrimSpace(out))
	}
	return f, nil
}

// Bidding is the load of bids of which each is answered so.
func (r *Rival) Bidding(connections int, expect ...int) Load {
	return Load{
		Address: r.Address, Journey: Post, Connections: connections, Path: Bids(1), Tokens: r.Tokens, Body: bidBody,
		Key: strings.ToLower(rand.Text()[:8]) + "-", Expect: expect, Poll: true,
	}
}

// Database makes one more database of the stage, which ends with it.
func (s *Stage) Database(ctx context.Context) (string, error) {
	name := s.database + "_" + strings.ToLower(rand.Text()[:6])
	if err := s.house.admin(ctx, "create database "+name); err != nil {
		return "", err
	}
	s.closing(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return s.house.drop(ctx, name)
	})
	u, err := url.Parse(s.PostgresURL)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

// tokensFor are tokens of the buyers 1 to n, as Sluice itself signs them.
func tokensFor(keys string, n int) (tokens []string, err error) {
	id, secret, _ := strings.Cut(keys, ":")
	now := time.Now()
	for i := range n {
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"role": "buyer", "iss": "sluice", "sub": strconv.Itoa(i + 1), "iat": now.Unix(), "exp": now.Add(tokenLife).Unix(),
		})
		token.Header["kid"] = id
		text, err := token.SignedString([]byte(secret))
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, text)
	}
	return tokens, nil
}
