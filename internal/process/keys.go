package process

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sluice/internal/accounts"
)

// leastSecret is the length of SHA-256's output, below which HS256 is weaker
// than it could be (RFC 7518, 3.2), in bytes.
const leastSecret = 32

// parseKeys reads "id:secret,id2:secret2". Its errors do not repeat a secret.
func parseKeys(text string) (keys []accounts.Key, err error) {
	seen := map[string]bool{}
	for i, part := range strings.Split(text, ",") {
		id, secret, ok := strings.Cut(strings.TrimSpace(part), ":")
		switch {
		case !ok || id == "":
			return nil, fmt.Errorf("key %d must look like id:secret", i+1)
		case seen[id]:
			return nil, fmt.Errorf("key %q is there twice", id)
		}
		seen[id] = true
		key := accounts.Key{ID: id, Secret: secretBytes(secret)}
		if len(key.Secret) < leastSecret {
			return nil, fmt.Errorf("key %q needs a secret of at least %d bytes", id, leastSecret)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// secretBytes decodes base64 (either alphabet, padded or not) when that gives a
// secret that is long enough, and else takes the text as it is.
func secretBytes(text string) []byte {
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	if secret, err := base64.RawStdEncoding.DecodeString(plain); err == nil && len(secret) >= leastSecret {
		return secret
	}
	return []byte(text)
}

// maskKeys shows the IDs alone.
func maskKeys(text string) string {
	if text == "" {
		return ""
	}
	var ids []string
	for part := range strings.SplitSeq(text, ",") {
		id, _, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok {
			id = mask // a secret without an ID, by mistake
		}
		ids = append(ids, id+":"+mask)
	}
	return strings.Join(ids, ",")
}

// KeepKey answers the token key kept in the folder, in the form of
// SLUICE_JWT_KEYS, and makes one at the first use. It is for one machine: many
// API processes are given the same keys by their operator.
func KeepKey(folder string) (string, error) {
	path := filepath.Join(folder, "jwt.key")
	text, err := os.ReadFile(path)
	if err == nil {
		if _, err := parseKeys(strings.TrimSpace(string(text))); err != nil {
			return "", fmt.Errorf("token key in %s: %w (delete the file, and a new one is made)", path, err)
		}
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the token key: %w", err)
	}
	secret := make([]byte, leastSecret)
	rand.Read(secret) // never fails
	key := "kept:" + base64.StdEncoding.EncodeToString(secret)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("keep the token key: %w", err)
	}
	// Written whole under another name first: a crash leaves no half a key.
	if err := os.WriteFile(path+".new", []byte(key+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the token key: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", fmt.Errorf("keep the token key: %w", err)
	}
	return key, nil
}
