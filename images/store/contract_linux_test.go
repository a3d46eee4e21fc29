package store

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

// T-1: the contract of the store does not depend on what the temporary files of tests happen to lie on.
func TestContractOnFilesystems(t *testing.T) {
	testenv.Need(t, "loop")
	if !testenv.OwnMounts(t) {
		return
	}
	base := t.TempDir()
	testenv.NewDisk(t, base+"/disk", 32).Mount(t, base+"/ext4", "")
	if err := errors.Join(os.Mkdir(base+"/tmpfs", 0o755), unix.Mount("tmpfs", base+"/tmpfs", "tmpfs", 0, "size=32m")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(base+"/tmpfs", 0) })
	for _, kind := range []string{"ext4", "tmpfs"} {
		for name, test := range map[string]func(*testing.T){
			"resume": TestWriterResumes, "start over": TestWriterStartsOver, "wrong content": TestWrongContent, "empty blob": TestEmptyBlob,
			"damaged blob": TestDamagedBlobIsAMiss, "another process": TestBlobOfAnotherProcess, "one maker": TestOneMaker, "maker fails": TestMakerFails,
			"facts": TestFacts, "records": TestImageRecords, "damaged record": TestDamagedRecord, "verify": TestVerify,
			"gc": TestGCDeletesWhatIsNotKept, "gc and use": TestGCSparesWhatIsUsed, "gc and run": TestGCAsksAgainBeforeDeleting,
		} {
			t.Run(kind+", "+name, func(t *testing.T) {
				t.Setenv("TMPDIR", base+"/"+kind)
				if dir := t.TempDir(); !strings.HasPrefix(dir, base+"/"+kind) {
					t.Fatalf("it would lie in %s", dir)
				}
				test(t)
			})
		}
	}
}
