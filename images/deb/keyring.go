package deb

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/4cc2e759/sandbox/internal/hint"
)

const maxKeyring = 16 << 20

// keys reads the keys that may sign for s. Without a Keyring of its own, those of the host are used.
func (s Source) keys(hostRoot string) (openpgp.EntityList, []string, error) {
	files := s.Keyring
	if len(files) == 0 && len(s.Keys) == 0 {
		files = HostKeyrings(hostRoot)
	}
	var all openpgp.EntityList
	for _, f := range files {
		text, err := readSmall(f, maxKeyring)
		if errors.Is(err, fs.ErrNotExist) && len(files) > 1 {
			continue
		} else if err != nil {
			return nil, files, hint.With(fmt.Errorf("keyring of %s: %w", s, err),
				"install the package that holds it (debian-archive-keyring, ubuntu-keyring), or name another file with [image] keyring")
		}
		list, err := readKeys(text)
		if err != nil {
			return nil, files, fmt.Errorf("keyring %s: %w", f, err)
		}
		all = append(all, list...)
	}
	for _, k := range s.Keys {
		list, err := readKeys(k)
		if err != nil {
			return nil, files, fmt.Errorf("signed-by key of %s: %w", s, err)
		}
		all = append(all, list...)
	}
	if len(s.Fingerprints) > 0 {
		all = slices.DeleteFunc(all, func(e *openpgp.Entity) bool { return !s.hasFingerprint(e) })
	}
	return all, files, nil
}

func (s Source) hasFingerprint(e *openpgp.Entity) bool {
	for _, want := range s.Fingerprints {
		if strings.HasSuffix(fmt.Sprintf("%X", e.PrimaryKey.Fingerprint), want) {
			return true
		}
		for _, k := range e.Subkeys {
			if strings.HasSuffix(fmt.Sprintf("%X", k.PublicKey.Fingerprint), want) {
				return true
			}
		}
	}
	return false
}

// readKeys reads a binary or ascii-armored keyring.
func readKeys(text string) (openpgp.EntityList, error) {
	if i := strings.Index(text, "-----BEGIN PGP PUBLIC KEY BLOCK-----"); i >= 0 {
		var all openpgp.EntityList
		// A file may hold several blocks, as when keys were appended with >>.
		for block := range strings.SplitSeq(text[i:], "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
			if strings.TrimSpace(block) == "" {
				continue
			}
			l, err := openpgp.ReadArmoredKeyRing(strings.NewReader("-----BEGIN PGP PUBLIC KEY BLOCK-----" + block))
			if err != nil {
				return nil, err
			}
			all = append(all, l...)
		}
		return all, nil
	}
	return openpgp.ReadKeyRing(strings.NewReader(text))
}

// SignatureError says why a Release is not believed.
type SignatureError struct {
	Release string // address
	Why     string
	advice  string
}

func (e *SignatureError) Error() string { return "signature of " + e.Release + ": " + e.Why }

// Hint is what helps.
func (e *SignatureError) Hint() string { return e.advice }

// maxSignatures bounds the work on one Release; Debian signs with three keys.
const maxSignatures = 32

// openInRelease returns the text of a clear-signed Release that one of keys signed, and who it was.
// Whatever surrounds the signed part is not looked at.
func openInRelease(data []byte, keys openpgp.EntityList, now time.Time) (text, signer string, err error) {
	block, _ := clearsign.Decode(data)
	if block == nil {
		return "", "", errors.New("it is not a clear-signed file")
	}
	signer, err = checkSignatures(block.Bytes, packet.NewReader(block.ArmoredSignature.Body), keys, now)
	// Bytes is what the signature covers; Plaintext may differ in blanks at the ends of lines.
	return string(bytes.ReplaceAll(block.Bytes, []byte("\r\n"), []byte("\n"))), signer, err
}

// checkSignatures wants one good signature of a known key; the library stops at the first known key
// even if another signature is good.
func checkSignatures(signed []byte, sigs *packet.Reader, keys openpgp.EntityList, now time.Time) (string, error) {
	var why []string
	cfg := &packet.Config{Time: func() time.Time { return now }}
	for range maxSignatures {
		p, err := sigs.Next()
		var unsupported pgperrors.UnsupportedError
		if errors.As(err, &unsupported) {
			continue
		} else if err != nil {
			break // the end, or nothing sensible from here on
		}
		sig, ok := p.(*packet.Signature)
		if !ok || sig.IssuerKeyId == nil {
			continue
		}
		var one bytes.Buffer
		if err := sig.Serialize(&one); err != nil {
			continue
		}
		e, err := openpgp.CheckDetachedSignature(keys, bytes.NewReader(signed), &one, cfg)
		if err == nil {
			return fmt.Sprintf("%X", e.PrimaryKey.Fingerprint), nil
		}
		why = append(why, describeFailure(*sig.IssuerKeyId, keys, err))
	}
	if len(why) == 0 {
		return "", errors.New("there is no signature in it")
	}
	slices.Sort(why)
	return "", errors.New(strings.Join(slices.Compact(why), "; "))
}

func describeFailure(id uint64, keys openpgp.EntityList, err error) string {
	key := fmt.Sprintf("key %016X", id)
	if k := keys.KeysById(id); len(k) > 0 {
		if n := k[0].Entity.PrimaryIdentity(); n != nil {
			key += " (" + n.Name + ")"
		}
	}
	switch {
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		if len(keys.KeysById(id)) > 0 {
			return key + " expired, was revoked or may not sign"
		}
		return key + " is not in the keyring"
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return key + " expired"
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return key + " was revoked"
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return "the signature by " + key + " expired"
	}
	return key + ": " + strings.TrimPrefix(err.Error(), "openpgp: ")
}
