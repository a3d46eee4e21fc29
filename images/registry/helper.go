package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/internal/printable"
)

// helperTimeout is for a helper that may ask its user for a password.
const helperTimeout = 30 * time.Second

// askHelper runs docker-credential-NAME. nil without an error: it knows nothing of this server.
func askHelper(ctx context.Context, name, server string) (*credential, error) {
	if name != filepath.Base(name) {
		return nil, fmt.Errorf("not the name of a credential helper: %q", name)
	}
	program := "docker-credential-" + name
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	var out, stderr limitedBuffer
	cmd := exec.CommandContext(ctx, program, "get")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(server), &out, &stderr
	cmd.WaitDelay = time.Second // its children may hold the pipes
	if err := cmd.Run(); err != nil {
		switch {
		case bytes.Contains(out.Bytes(), []byte("credentials not found")):
			return nil, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%s: no answer in %s", program, helperTimeout)
		}
		line, _, _ := strings.Cut(stderr.String(), "\n")
		if line = printable.Line(line, maxSaid); line != "" {
			return nil, fmt.Errorf("%s: %w: %s", program, err, line)
		}
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	var a struct{ Username, Secret string }
	if err := json.Unmarshal(out.Bytes(), &a); err != nil || a.Secret == "" {
		return nil, errors.New(program + ": unusable answer")
	}
	if a.Username == "<token>" {
		return &credential{IdentityToken: a.Secret}, nil
	}
	return &credential{Username: a.Username, Password: a.Secret}, nil
}

// limitedBuffer keeps the beginning of what a program prints.
type limitedBuffer struct{ bytes.Buffer }

// Write never fails, so that the program can go on.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := 64<<10 - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}
