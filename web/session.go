package web

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"sluice/client"
)

// Who is signed in, his browser knows: two cookies that no script can read. The access
// token opens pages and, at the API, streams of events; it lasts minutes. The refresh token gets
// the next pair, once.
const (
	accessCookie  = "sluice_access" // the API reads it, too
	refreshCookie = "sluice_refresh"
	languageName  = "sluice_language"
)

// A little before the access token ends it is exchanged: a page lives on for a while.
const renewBefore = 30 * time.Second

// session answers the tokens of a visit, renewed if they are about to end. Whoever
// cannot renew them is nobody.
func (v *visit) session() client.Tokens {
	access, refresh := cookieOf(v.r, accessCookie), cookieOf(v.r, refreshCookie)
	if t, ok := readToken(access); ok && time.Until(t.AccessExpires) > renewBefore {
		return t
	}
	if refresh == "" {
		return client.Tokens{}
	}
	t, err := v.front.renewed.renew(v.ctx, refresh, func(ctx context.Context) (client.Tokens, error) {
		return v.front.exchange(ctx, refresh)
	})
	switch {
	case err == nil:
		v.remember(t)
		return t
	case client.CodeOf(err) == client.CodeSessionEnded:
		v.forget()
		return client.Tokens{}
	}
	t, _ = readToken(access) // it may be good for some seconds yet, or the API says what is wrong
	return t
}

// exchange gets the next tokens for a refresh token.
func (f *Front) exchange(ctx context.Context, refresh string) (next client.Tokens, err error) {
	c := f.api.With(client.WithTokens(client.Tokens{Refresh: refresh}), client.WithSaver(func(t client.Tokens) { next = t }))
	_, err = c.Me(ctx) // it has no access token, so it gets one first
	if next.Access != "" {
		return next, nil // whatever else was wrong
	}
	return next, err
}

func cookieOf(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// readToken reads what an access token says, unproved: it decides what is shown of a page,
// and the API decides what is done.
func readToken(access string) (t client.Tokens, ok bool) {
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		return t, false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return t, false
	}
	var claims struct {
		Role    client.Role `json:"role"`
		Expires int64       `json:"exp"`
	}
	if json.Unmarshal(text, &claims) != nil || claims.Expires <= time.Now().Unix() {
		return t, false
	}
	return client.Tokens{Role: claims.Role, Access: access, AccessExpires: time.Unix(claims.Expires, 0)}, true
}

// remember has the browser keep a session.
func (v *visit) remember(t client.Tokens) {
	v.setCookie(accessCookie, t.Access, time.Until(t.AccessExpires))
	v.setCookie(refreshCookie, t.Refresh, time.Until(t.RefreshExpires))
}

// forget has the browser forget it.
func (v *visit) forget() {
	v.setCookie(accessCookie, "", -1)
	v.setCookie(refreshCookie, "", -1)
}

func (v *visit) setCookie(name, value string, lasts time.Duration) {
	age := int(lasts / time.Second)
	if age <= 0 {
		age = -1 // away with it
	}
	http.SetCookie(v.w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: v.r.Header.Get("X-Forwarded-Proto") == "https",
	})
}

// renewals are the exchanges of refresh tokens. A browser that opens several pages at once
// shows one token several times, and each works once: so whoever shows it again shortly
// after gets what the first got.
type renewals struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*renewal
}

type renewal struct {
	done   chan struct{}
	tokens client.Tokens
	err    error
	at     time.Time
}

// renewalKept is how long an exchange is remembered.
const renewalKept = 30 * time.Second

func newRenewals() *renewals { return &renewals{all: map[[sha256.Size]byte]*renewal{}} }

func (r *renewals) renew(ctx context.Context, refresh string, exchange func(context.Context) (client.Tokens, error)) (client.Tokens, error) {
	key := sha256.Sum256([]byte(refresh))
	r.mu.Lock()
	for old, one := range r.all {
		if time.Since(one.at) > renewalKept {
			delete(r.all, old)
		}
	}
	one, under := r.all[key]
	if !under {
		one = &renewal{done: make(chan struct{}), at: time.Now()}
		r.all[key] = one
	}
	r.mu.Unlock()
	if !under {
		// The answer is the only copy of the next token: it does not end with this page.
		one.tokens, one.err = exchange(context.WithoutCancel(ctx))
		if one.err != nil && client.CodeOf(one.err) != client.CodeSessionEnded {
			r.mu.Lock()
			delete(r.all, key) // it may work the next time
			r.mu.Unlock()
		}
		close(one.done)
	}
	select {
	case <-one.done:
		return one.tokens, one.err
	case <-ctx.Done():
		return client.Tokens{}, ctx.Err()
	}
}
