//! Controls of a camera: `[camera.controls]` of the configuration, and what becomes of it at the device.
//!
//! What is not named stays as the camera has it. A camera that lacks a control, or does not allow a value, is told in the log and
//! delivers pictures all the same. Numbers are those of the kernel (`linux/v4l2-controls.h`, user and camera class).
//!
//! ```text
//! exposure = 100   ->  EXPOSURE_AUTO = manual, EXPOSURE_ABSOLUTE = 100
//! exposure = "auto" -> EXPOSURE_AUTO = aperture priority, or auto: webcams know one or the other
//! ```

use super::device::Device;
use serde::de::{Deserializer, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::fmt;
use v4l::v4l_sys::*;

/// `[camera.controls]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Controls {
    /// Exposure time in units of 100 µs.
    pub exposure: Option<Setting>,
    /// Amplification, in the camera's own units.
    pub gain: Option<Setting>,
    /// Colour temperature in kelvin.
    pub white_balance: Option<Setting>,
    /// Distance of the focus, in the camera's own units.
    pub focus: Option<Setting>,
    /// What the lamps flicker with.
    pub power_line: Option<PowerLine>,
    /// In the camera's own units.
    pub brightness: Option<i32>,
    /// In the camera's own units.
    pub contrast: Option<i32>,
    /// In the camera's own units.
    pub saturation: Option<i32>,
}

/// A value, or the camera's own choice at every moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `"auto"`
    Auto,
    /// A number.
    Value(i32),
}

/// Frequency of the mains, which lamps flicker with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PowerLine {
    /// No flicker is looked for.
    #[serde(rename = "off")]
    Off,
    /// Most of the world.
    #[serde(rename = "50Hz")]
    Hz50,
    /// The Americas and their neighbours.
    #[serde(rename = "60Hz")]
    Hz60,
    /// The camera finds out.
    #[serde(rename = "auto")]
    Auto,
}

/// What a device says of one of its controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Smallest value.
    pub least: i32,
    /// Largest value.
    pub most: i32,
}

/// A key of `[camera.controls]`.
struct Key {
    name: &'static str,
    /// What must be set to manual before `level` counts; not every camera has it.
    switch: Option<Switch>,
    level: u32,
}

/// A control that gives another one to the camera or to us.
struct Switch {
    control: u32,
    manual: i32,
    /// The first one that the camera takes counts.
    auto: &'static [i32],
}

const fn switched(name: &'static str, control: u32, level: u32) -> Key {
    Key { name, switch: Some(Switch { control, manual: 0, auto: &[1] }), level }
}

const fn plain(name: &'static str, level: u32) -> Key {
    Key { name, switch: None, level }
}

const EXPOSURE: Key = Key {
    name: "exposure",
    switch: Some(Switch {
        control: V4L2_CID_EXPOSURE_AUTO,
        manual: v4l2_exposure_auto_type_V4L2_EXPOSURE_MANUAL.cast_signed(),
        auto: &[
            v4l2_exposure_auto_type_V4L2_EXPOSURE_APERTURE_PRIORITY.cast_signed(),
            v4l2_exposure_auto_type_V4L2_EXPOSURE_AUTO.cast_signed(),
        ],
    }),
    level: V4L2_CID_EXPOSURE_ABSOLUTE,
};
const GAIN: Key = switched("gain", V4L2_CID_AUTOGAIN, V4L2_CID_GAIN);
const WHITE_BALANCE: Key =
    switched("white_balance", V4L2_CID_AUTO_WHITE_BALANCE, V4L2_CID_WHITE_BALANCE_TEMPERATURE);
const FOCUS: Key = switched("focus", V4L2_CID_FOCUS_AUTO, V4L2_CID_FOCUS_ABSOLUTE);
const POWER_LINE: Key = plain("power_line", V4L2_CID_POWER_LINE_FREQUENCY);
const BRIGHTNESS: Key = plain("brightness", V4L2_CID_BRIGHTNESS);
const CONTRAST: Key = plain("contrast", V4L2_CID_CONTRAST);
const SATURATION: Key = plain("saturation", V4L2_CID_SATURATION);

/// The keys that can be had at `device`, with the values that it takes.
pub fn offered(device: &impl Device) -> Vec<(&'static str, Range)> {
    let keys = [EXPOSURE, GAIN, WHITE_BALANCE, FOCUS, POWER_LINE, BRIGHTNESS, CONTRAST, SATURATION];
    keys.iter().filter_map(|key| Some((key.name, device.control(key.level)?))).collect()
}

impl Controls {
    /// Sets at `device` what is configured: a sentence for each key that cannot be had.
    pub fn apply(&self, device: &mut impl Device) -> Vec<String> {
        let wanted = [
            (EXPOSURE, self.exposure),
            (GAIN, self.gain),
            (WHITE_BALANCE, self.white_balance),
            (FOCUS, self.focus),
            (POWER_LINE, self.power_line.map(|power| Setting::Value(power as i32))),
            (BRIGHTNESS, self.brightness.map(Setting::Value)),
            (CONTRAST, self.contrast.map(Setting::Value)),
            (SATURATION, self.saturation.map(Setting::Value)),
        ];
        let wanted = wanted.iter().filter_map(|(key, setting)| setting.map(|setting| (key, setting)));
        wanted.filter_map(|(key, setting)| key.apply(setting, device).err()).collect()
    }
}

impl Key {
    fn apply(&self, setting: Setting, device: &mut impl Device) -> Result<(), String> {
        let refused = |why: String| Err(format!("controls.{} = {setting}: {why}", self.name));
        let switch = self.switch.as_ref().filter(|switch| device.control(switch.control).is_some());
        let value = match (setting, switch) {
            (Setting::Auto, None) => return refused("the camera does not do that by itself".to_owned()),
            (Setting::Auto, Some(Switch { control, auto, .. })) => {
                let taken = auto.iter().any(|value| device.set_control(*control, *value).is_ok());
                return if taken { Ok(()) } else { refused("the camera does not switch to it".to_owned()) };
            }
            (Setting::Value(value), None) => value,
            (Setting::Value(value), Some(Switch { control, manual, .. })) => {
                if let Err(error) = device.set_control(*control, *manual) {
                    return refused(format!("the camera does not give it away ({error})"));
                }
                value
            }
        };
        let Some(Range { least, most }) = device.control(self.level) else {
            return refused("the camera has no such control".to_owned());
        };
        // The kernel would take the nearest value, and say nothing.
        if !(least..=most).contains(&value) {
            return refused(format!("the camera takes {least} to {most}"));
        }
        device
            .set_control(self.level, value)
            .or_else(|error| refused(format!("the camera refuses it ({error})")))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("\"auto\""),
            Self::Value(value) => value.fmt(f),
        }
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Value(value) => serializer.serialize_i32(*value),
        }
    }
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrAuto;

        impl Visitor<'_> for NumberOrAuto {
            type Value = Setting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\" or a whole number")
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Setting, E> {
                let unexpected = serde::de::Unexpected::Signed(value);
                i32::try_from(value).map(Setting::Value).map_err(|_| E::invalid_value(unexpected, &self))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Setting, E> {
                let unexpected = serde::de::Unexpected::Str(text);
                (text == "auto").then_some(Setting::Auto).ok_or_else(|| E::invalid_value(unexpected, &self))
            }
        }

        deserializer.deserialize_any(NumberOrAuto)
    }
}
