// A film clapper: one event as a camera (v4l2loopback) and a microphone (snd-aloop) get it. Every two seconds a picture is white instead of
// black, for a tenth of a second, and for as long a tone sounds.
//
//     clapper /dev/video9 /dev/snd/pcmC0D0p
//
// Picture n is due n/30 s, and sample n is played n/48000 s after one instant of CLOCK_MONOTONIC. Each SIGUSR1 makes the camera's clock worse:
// first its pictures come as much as 25 ms early or late, then the time that it tells of them is an hour ahead.
// For each clap it prints when the tone sounds and which time the driver gave to the picture, in seconds of that clock.

#include <err.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <math.h>
#include <signal.h>
#include <sound/asound.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 320, HEIGHT = 240, LUMA = WIDTH * HEIGHT, BYTES = LUMA * 3 / 2, BUFFERS = 2 };
enum { RATE = 48000, CHANNELS = 2, PER_PICTURE = RATE / 30, AHEAD = 60 };
enum { CLAP = 60, LASTS = 3 };
enum { STEADY, JITTERED, WRONG };

static volatile sig_atomic_t camera_clock = STEADY;

static void worse(int signal)
{
	(void)signal;
	camera_clock++;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void sleep_until(double due)
{
	struct timespec time = { .tv_sec = (time_t)due, .tv_nsec = (long)((due - (time_t)due) * 1e9) };
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) != 0) {
	}
}

static void ask(int file, unsigned long request, void *argument, const char *name)
{
	if (ioctl(file, request, argument) < 0)
		err(1, "%s", name);
}

// The camera: buffers of the driver, each filled when its turn comes.
static int video;
static uint8_t *pictures[BUFFERS];

static void open_camera(const char *path)
{
	video = open(path, O_RDWR);
	if (video < 0)
		err(1, "%s", path);
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT };
	format.fmt.pix = (struct v4l2_pix_format){ .width = WIDTH, .height = HEIGHT, .sizeimage = BYTES,
		.pixelformat = V4L2_PIX_FMT_YUV420, .field = V4L2_FIELD_NONE, .bytesperline = WIDTH };
	ask(video, VIDIOC_S_FMT, &format, "VIDIOC_S_FMT");
	struct v4l2_requestbuffers wanted = { .count = BUFFERS, .type = V4L2_BUF_TYPE_VIDEO_OUTPUT, .memory = V4L2_MEMORY_MMAP };
	ask(video, VIDIOC_REQBUFS, &wanted, "VIDIOC_REQBUFS");
	for (unsigned index = 0; index < BUFFERS; index++) {
		struct v4l2_buffer buffer = { .index = index, .type = V4L2_BUF_TYPE_VIDEO_OUTPUT, .memory = V4L2_MEMORY_MMAP };
		ask(video, VIDIOC_QUERYBUF, &buffer, "VIDIOC_QUERYBUF");
		pictures[index] = mmap(NULL, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED, video, buffer.m.offset);
		if (pictures[index] == MAP_FAILED)
			err(1, "mmap");
	}
	int type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	ask(video, VIDIOC_STREAMON, &type, "VIDIOC_STREAMON");
}

// Delivers a picture: the time that the driver gave it.
static double show(unsigned n, int white)
{
	struct v4l2_buffer buffer = { .index = n % BUFFERS, .type = V4L2_BUF_TYPE_VIDEO_OUTPUT, .memory = V4L2_MEMORY_MMAP };
	buffer.bytesused = BYTES;
	memset(pictures[buffer.index], white ? 235 : 16, LUMA);
	memset(pictures[buffer.index] + LUMA, 128, BYTES - LUMA);
	if (camera_clock >= WRONG)
		buffer.timestamp.tv_sec = (time_t)now() + 3600;
	ask(video, VIDIOC_QBUF, &buffer, "VIDIOC_QBUF");
	return buffer.timestamp.tv_sec + buffer.timestamp.tv_usec / 1e6;
}

// The card: the kernel's own interface, as there is no library here.
static int sound;

static struct snd_interval *interval(struct snd_pcm_hw_params *params, int what)
{
	return &params->intervals[what - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];
}

static void only(struct snd_pcm_hw_params *params, int what, unsigned value)
{
	memset(params->masks[what].bits, 0, sizeof params->masks[what].bits);
	params->masks[what].bits[value / 32] = 1u << value % 32;
}

static void exactly(struct snd_pcm_hw_params *params, int what, unsigned value)
{
	*interval(params, what) = (struct snd_interval){ .min = value, .max = value, .integer = 1 };
}

static void open_card(const char *path)
{
	sound = open(path, O_RDWR);
	if (sound < 0)
		err(1, "%s", path);
	struct snd_pcm_hw_params hardware = { .rmask = ~0u, .info = ~0u };
	memset(hardware.masks, 0xFF, sizeof hardware.masks);
	for (int what = SNDRV_PCM_HW_PARAM_FIRST_INTERVAL; what <= SNDRV_PCM_HW_PARAM_LAST_INTERVAL; what++)
		interval(&hardware, what)->max = ~0u;
	only(&hardware, SNDRV_PCM_HW_PARAM_ACCESS, (unsigned)SNDRV_PCM_ACCESS_RW_INTERLEAVED);
	only(&hardware, SNDRV_PCM_HW_PARAM_FORMAT, (unsigned)SNDRV_PCM_FORMAT_S16_LE);
	exactly(&hardware, SNDRV_PCM_HW_PARAM_CHANNELS, CHANNELS);
	exactly(&hardware, SNDRV_PCM_HW_PARAM_RATE, RATE);
	exactly(&hardware, SNDRV_PCM_HW_PARAM_PERIOD_SIZE, PER_PICTURE);
	exactly(&hardware, SNDRV_PCM_HW_PARAM_PERIODS, AHEAD + 30);
	ask(sound, SNDRV_PCM_IOCTL_HW_PARAMS, &hardware, "SNDRV_PCM_IOCTL_HW_PARAMS");
	// Whoever is late leaves a silence, and what comes after it sounds when it is due.
	struct snd_pcm_sw_params software = { .period_step = 1, .avail_min = 1, .start_threshold = INT32_MAX, .stop_threshold = INT32_MAX,
		.silence_size = INT32_MAX };
	ask(sound, SNDRV_PCM_IOCTL_SW_PARAMS, &software, "SNDRV_PCM_IOCTL_SW_PARAMS");
	ask(sound, SNDRV_PCM_IOCTL_PREPARE, NULL, "SNDRV_PCM_IOCTL_PREPARE");
}

// Hands over the sound of picture n.
static void play(unsigned n)
{
	int16_t samples[PER_PICTURE][CHANNELS];
	for (int at = 0; at < PER_PICTURE; at++) {
		double phase = 2 * M_PI * 1000 * at / RATE;
		samples[at][0] = samples[at][1] = n % CLAP < LASTS ? (int16_t)(16000 * sin(phase)) : 0;
	}
	struct snd_xferi transfer = { .buf = samples, .frames = PER_PICTURE };
	ask(sound, SNDRV_PCM_IOCTL_WRITEI_FRAMES, &transfer, "SNDRV_PCM_IOCTL_WRITEI_FRAMES");
}

int main(int argc, char **argv)
{
	if (argc != 3)
		errx(2, "clapper VIDEO PCM");
	setlinebuf(stdout);
	signal(SIGUSR1, worse);
	open_camera(argv[1]);
	open_card(argv[2]);
	for (unsigned n = 0; n < AHEAD; n++)
		play(n);
	double before = now();
	ask(sound, SNDRV_PCM_IOCTL_START, NULL, "SNDRV_PCM_IOCTL_START");
	double begun = (before + now()) / 2;
	for (unsigned n = 0;; n++) {
		double due = begun + n / 30.0;
		double early = camera_clock == STEADY ? 0 : (rand() % 51 - 25) / 1e3;
		sleep_until(due + early);
		double stamp = show(n, n % CLAP < LASTS);
		if (n % CLAP == 0)
			printf("%.6f %.6f\n", due, stamp);
		play(n + AHEAD);
	}
}
