package compose

import (
	"bufio"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Program starts the worker program at path, for [Options.Start]. It gets a
// socket as file 3, nothing of our environment, and dies with us. What it writes
// to standard error is logged.
func Program(path string, log *slog.Logger) func() (io.ReadWriteCloser, error) {
	return func() (io.ReadWriteCloser, error) {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		ours, theirs := os.NewFile(uintptr(fds[0]), "media worker"), os.NewFile(uintptr(fds[1]), "gateway")
		defer theirs.Close()
		cmd := exec.Command(path)
		cmd.Env, cmd.ExtraFiles = []string{}, []*os.File{theirs}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		says, err := cmd.StderrPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			ours.Close()
			return nil, err
		}
		log.Info("media worker started", "pid", cmd.Process.Pid)
		go func() {
			lines := bufio.NewScanner(says)
			for n := 0; lines.Scan(); n++ {
				if n < maxComplaints {
					log.Warn("media worker", "says", lines.Text())
				}
			}
			_, _ = io.Copy(io.Discard, says)
		}()
		return &process{File: ours, cmd: cmd}, nil
	}
}

// maxComplaints of one worker are logged.
const maxComplaints = 40

type process struct {
	*os.File
	cmd  *exec.Cmd
	once sync.Once
}

// Close ends the worker. It reads the end of its socket and goes anyway, but
// one that hangs does not.
func (p *process) Close() error {
	p.once.Do(func() {
		p.File.Close()
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return nil
}
